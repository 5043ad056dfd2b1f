// The node's own JSON-RPC over a WebSocket: asks, listens to new heads, and comes back when the node was away.

const FIRST_WAIT_S = 1;
const MOST_WAIT_S = 30;
const PATIENCE_MS = 10_000; // for an answer; then the connection counts as lost

export class Refused extends Error {
  constructor(error) {
    super(error.message);
    this.code = error.code;
  }
}

export class Connection {
  /**
   * @param {string} url of the node's WebSocket.
   * @param {{opened: function(), head: function(), away: function(number)}} tell what happens; `away` says for how many
   *   seconds nothing is tried.
   */
  constructor(url, tell) {
    this.url = url;
    this.tell = tell;
    this.wait = FIRST_WAIT_S;
    this.questions = new Map();
    this.id = 0;
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.timer = undefined;
    const socket = new WebSocket(this.url);
    this.socket = socket;
    socket.onopen = () => {
      this.ask("eth_subscribe", "newHeads").catch(() => {}); // without it, what is asked now and then has to do
      this.tell.opened();
    };
    socket.onmessage = (message) => this.heard(JSON.parse(message.data));
    socket.onclose = () => this.lost(socket);
  }

  /** Try at once, if the connection is lost. */
  hurry() {
    if (this.timer !== undefined) this.open();
  }

  /** Note that the node is of use, so that the next wait is a short one. */
  proved() {
    this.wait = FIRST_WAIT_S;
  }

  lost(socket) {
    if (socket !== this.socket || this.timer !== undefined) return;
    for (const question of this.questions.values()) question.fail(new Error("the connection was lost"));
    this.questions.clear();
    const seconds = Math.round(this.wait * (1 + Math.random() / 2));
    this.wait = Math.min(2 * this.wait, MOST_WAIT_S);
    this.timer = setTimeout(() => this.open(), 1000 * seconds);
    this.tell.away(seconds);
  }

  heard(message) {
    if (message.method === "eth_subscription") {
      this.tell.head();
      return;
    }
    const question = this.questions.get(message.id);
    if (question === undefined) return;
    this.questions.delete(message.id);
    if (message.error) question.fail(new Refused(message.error));
    else question.done(message.result);
  }

  /** Return the result of a method; fails with Refused if the node answers an error. */
  ask(method, ...params) {
    const { socket } = this;
    if (socket.readyState !== WebSocket.OPEN) return Promise.reject(new Error("there is no connection"));
    const id = ++this.id;
    const late = setTimeout(() => {
      socket.close();
      this.lost(socket); // a closing handshake would be waited for in vain
    }, PATIENCE_MS);
    return new Promise((done, fail) => {
      this.questions.set(id, { done, fail });
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    }).finally(() => clearTimeout(late));
  }
}
