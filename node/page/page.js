// What the node tells of itself (grid_overview), shown; asked again with every new head, and every few seconds.

import { Connection, Refused } from "./connection.js";
import { dots, house } from "./street.js";
import { ago, chosen, clockTime, counted, day, el, grouped, kwh, longTime, number, short, span, table } from "./words.js";

const EVERY_MS = 5_000;
const LEAST_MS = 250; // between two questions, however fast blocks come
const UNAUTHORIZED = -32001;
const MOST_HOUSES = 40;
const MOST_DOTS = 24;

const place = (id) => document.getElementById(id);
const shown = new Map(); // what stands at a place now, so that only what changed is made anew
let overview; // the newest, and when it came
let cameAt = 0;
let asking = false;
let askAgain = false;
let askedAt = -Infinity;
let retryAt;

function put(id, data, make) {
  const text = JSON.stringify(data);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  place(id).replaceChildren(...[make()].flat());
}

// -- the parts

function showHead({ head, votes, validators, quorum }) {
  const height = number(head.number);
  put("head", height, () => `Block ${grouped(height)}`);
  document.title = `${grouped(height)} · gridpact`;
  const newest = votes.at(-1);
  const legend = newest
    ? `A lit house’s vote made block ${grouped(height)} final. ${number(quorum)} of ${validators.length} votes decide; ` +
      "later ones are not waited for."
    : `Nobody has voted yet: block 0 is given. ${number(quorum)} of ${validators.length} votes will decide.`;
  put("legend", legend, () => legend);
  showAge();
}

function chainNow() {
  const gone = (performance.now() - cameAt) / 1000;
  return number(overview.chainTime) + gone * number(overview.clockScale);
}

function showAge() {
  if (overview === undefined) return;
  const { head, votes, clockScale, validators } = overview;
  const scale = number(clockScale);
  const age = scale ? Math.max(0, chainNow() - number(head.timestamp)) / scale : 0;
  const newest = votes.at(-1);
  const who = newest ? ` by ${number(newest.signatures)} of ${counted(validators.length, "household")}` : "";
  const first = newest ? "Agreed" : "The chain began";
  const text = scale === 0 ? "The chain’s clock has not begun." : `${first} ${ago(age)}${who}.`;
  put("agreed", text, () => text);
}

function showStreet({ validators, peers, nodeKey }) {
  const connected = new Map(peers.map((peer) => [peer.nodeKey, peer.connected]));
  const rows = validators.map((each) => ({
    key: each.nodeKey,
    name: each.name,
    lit: each.signed.at(-1),
    word: each.nodeKey === nodeKey ? "this node" : connected.get(each.nodeKey) ? "" : "not connected",
  }));
  put("street", rows, () => {
    const houses = rows.slice(0, MOST_HOUSES).map(({ key, name, lit, word }) =>
      el("li", {}, house(key, { lit, cut: word === "not connected" }), chosen(name),
        el("span", { class: "word" }, lit === undefined ? "" : lit ? "signed" : "no vote"),
        word ? el("span", { class: "word" }, word) : ""),
    );
    const more = rows.length - houses.length;
    return more > 0 ? [...houses, el("li", {}, `and ${counted(more, "household")} more`)] : houses;
  });
}

function showReady({ ready, reasons }) {
  place("ready").className = ready ? "" : "not";
  put("ready", ready, () => (ready ? "This node is up to date and ready." : "This node is not ready:"));
  put("reasons", reasons, () => reasons.map((reason) => el("li", {}, reason))); // apart: nobody wants every number read out
}

const STATES = { trading: "being traded", delivering: "being delivered", settling: "being settled", settled: "settled" };

function showMarket({ market }) {
  put("market", market, () => {
    if (market === null) return el("p", { class: "quiet" }, "This chain has no market that answers.");
    const length = number(market.windowLength);
    const entries = market.private ? "sessions" : "contracts";
    const rows = market.windows.filter((row) => number(row.entries) || row.state === "trading" || row.state === "delivering");
    if (rows.every((row) => number(row.entries) === 0)) {
      const begun = market.window !== null;
      return el("p", { class: "quiet" }, begun ? `No ${entries} in the newest windows.` : "No market window yet.");
    }
    const what = market.private
      ? "Energy and prices are hidden on this street: how many sessions took part is all that anybody sees."
      : "What neighbours agreed to deliver to each other, window by window.";
    const cells = rows.map((row) => {
      const count = number(row.entries);
      const settled = row.state === "settling" ? `, ${number(row.settled)} of ${count}` : "";
      const state = count || row.state !== "delivering" ? `${STATES[row.state]}${settled}` : "–";
      const from = number(row.from);
      return [
        [el("span", { class: "span" }, span(from, length)), " ", el("span", { class: "tag" }, day(from))],
        grouped(count),
        ...(market.private ? [] : [row.energyWh === null ? "–" : kwh(number(row.energyWh))]),
        row.state === "settled" ? el("span", { class: "quiet" }, state) : state,
      ];
    });
    const energy = market.private ? [] : [["kWh", "n"]];
    const headings = [["window"], [entries, "n"], ...energy, ["state", "state"]];
    return table(what, headings, cells, "market");
  });
}

function showVotes({ votes, validators, nodeKey, leader, view }) {
  put("votes", [votes.length, validators, nodeKey, leader, view], () => {
    if (votes.length === 0) return el("p", { class: "quiet" }, "No votes yet.");
    const from = grouped(number(votes[0].height));
    const to = grouped(number(votes.at(-1).height));
    const moved = number(view) ? ` Leaders of the next block were too slow: it is at attempt ${number(view) + 1}.` : "";
    const range = votes.length === 1 ? `block ${to}` : `blocks ${from} to ${to}`;
    const caption =
      `Whose votes made up the certificates of ${range}, the newest at the right. A ring is no failure: ` +
      `a certificate is full with a quorum.${moved}`;
    const rows = validators.map((each) => {
      const tags = [
        each.nodeKey === nodeKey ? "this node" : "",
        each.nodeKey === leader ? "leads the next block" : "",
      ].filter(Boolean).join(", ");
      const cast = each.signed.filter(Boolean).length;
      return [
        [chosen(each.name), tags ? el("span", { class: "small" }, tags) : ""],
        dots(each.signed, MOST_DOTS),
        `${cast} of ${each.signed.length}`,
      ];
    });
    return table(caption, [["household"], ["votes"], ["signed", "n"]], rows, "votes");
  });
}

function showChains({ head, contractHead, ledgerHead, targetHeight }) {
  put("chains", [head, contractHead, ledgerHead, targetHeight], () => {
    const chain = (name, { number: height, hash }) => {
      const none = /^0x0*$/.test(hash);
      return el("div", {}, el("dt", {}, name), el("dd", { class: "height" }, grouped(number(height))),
        el("dd", { class: "hash" }, none ? "no block yet" : short(hash)));
    };
    const behind = targetHeight === null ? 0 : number(targetHeight) - number(head.number);
    const list = el("dl", { class: "chains" }, chain("Round blocks", head), chain("Contract chain", contractHead), chain("Ledger chain", ledgerHead));
    return behind > 0 ? [list, el("p", { class: "bad" }, `${counted(behind, "block")} behind the others, catching up.`)] : list;
  });
}

function showBlocks({ blocks }) {
  put("blocks", blocks, () => table(
    "Each is final at once.",
    [["block"], ["time", "n"], ["transactions", "n"], ["gas", "n"]],
    blocks.map((block) => [
      grouped(number(block.number)),
      clockTime(number(block.timestamp)),
      grouped(number(block.transactions)),
      grouped(number(block.gasUsed)),
    ]),
  ));
}

function showPool({ pool }) {
  put("pool", pool, () => {
    const [pending, queued] = [number(pool.pending), number(pool.queued)];
    if (pending + queued === 0) return el("p", { class: "quiet" }, "Nothing waits.");
    const next = pending ? `${counted(pending, "transaction")} can go into the next block` : "";
    const held = queued ? `${pending ? grouped(queued) : counted(queued, "transaction")} ${queued === 1 ? "waits" : "wait"} for an earlier one of the same sender` : "";
    return el("p", {}, `${[next, held].filter(Boolean).join("; ")}.`);
  });
}

function showPeers({ peers, head }) {
  const height = number(head.number);
  const rows = peers.map((peer) => {
    const told = peer.height === null ? null : number(peer.height);
    const level = told === null ? "not heard of yet" : told >= height - 1 ? "level" : `at most ${counted(height - told, "block")} behind`;
    return { name: peer.name, endpoint: peer.endpoint, validator: peer.validator, connected: peer.connected, level: peer.connected ? level : "–" };
  });
  put("peers", rows, () => {
    if (rows.length === 0) return el("p", { class: "quiet" }, "This node has no neighbours.");
    const cells = rows.map((row) => [
      [chosen(row.name), el("span", { class: "small" }, el("bdi", {}, row.endpoint), row.validator ? "" : " · no validator")],
      el("span", { class: row.connected ? undefined : "bad" }, row.connected ? "connected" : "not connected"),
      row.level,
    ]);
    return table("The other members’ nodes, as this one sees them.", [["node"], ["connection"], ["height", "end"]], cells, "peers");
  });
}

function showAbout({ software, chainId, nodeKey, epoch }) {
  const minute = Math.floor(chainNow() / 60);
  const scale = number(overview.clockScale);
  put("about", [software, chainId, nodeKey, epoch, minute, scale], () => {
    const clock = scale === 1 ? "" : ` It is ${longTime(chainNow())} on this chain, whose clock runs ${grouped(scale)} times as fast.`;
    return [
      el("p", {}, `Chain ${number(chainId)}, epoch ${grouped(number(epoch))}, seen by node ${short(nodeKey)}.${clock}`),
      el("p", {}, `${software.split("+")[0]}. Programs use this address too: JSON-RPC over HTTP or WebSocket.`),
    ];
  });
}

// -- the line to the node

function state(kind, text, retry = "") {
  place("line").className = `line ${kind}`;
  document.body.classList.toggle("stale", kind === "away" && overview !== undefined);
  if (place("state").textContent !== text) place("state").textContent = text;
  place("retry").textContent = retry;
}

function show() {
  for (const part of [showHead, showStreet, showReady, showMarket, showVotes, showChains, showBlocks, showPool, showPeers, showAbout]) part(overview);
  place("main").hidden = false;
}

async function refresh() {
  if (document.hidden && overview !== undefined) return;
  if (asking) {
    askAgain = true;
    return;
  }
  asking = true;
  askAgain = false;
  try {
    await new Promise((go) => setTimeout(go, Math.max(0, askedAt + LEAST_MS - performance.now())));
    askedAt = performance.now();
    overview = await connection.ask("grid_overview");
    cameAt = performance.now();
    connection.proved();
    state("live", "live");
    show();
  } catch (error) {
    if (error instanceof Refused) {
      const why = error.code === UNAUTHORIZED ? "it wants a token for the namespace grid; see [rpc] open in its node.toml" : error.message;
      state("away", `The node does not tell: ${why}.`);
    } // else the connection is lost, and says so itself
  } finally {
    asking = false;
    if (askAgain) refresh();
  }
}

const connection = new Connection(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`, {
  opened: () => {
    retryAt = undefined;
    refresh();
  },
  head: refresh,
  away: (seconds) => {
    retryAt = performance.now() + 1000 * seconds;
    tick();
  },
});

function tick() {
  if (retryAt !== undefined) {
    const left = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    const since = overview === undefined ? "" : ` What you see is from ${clockTime((Date.now() - (performance.now() - cameAt)) / 1000)}.`;
    state("away", `The node does not answer.${since}`, left ? ` Trying again in ${left} s.` : " Trying again.");
  }
  if (overview !== undefined) {
    showAge();
    showAbout(overview);
  }
}

setInterval(tick, 1000);
setInterval(refresh, EVERY_MS);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  connection.hurry();
  refresh();
});
window.addEventListener("online", () => connection.hurry());
