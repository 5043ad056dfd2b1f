"use strict";

// A Caliper workload: every transaction opens another account, every query reads one of them.
const { WorkloadModuleBase } = require("@hyperledger/caliper-core");

class Accounts extends WorkloadModuleBase {
  made = 0;

  async submitTransaction() {
    const id = `account-${this.workerIndex}-${this.made++}`;
    const { verb } = this.roundArguments;
    const args = verb === "open" ? [id, 1_000] : [id];
    await this.sutAdapter.sendRequests({ contract: "accounts", verb, args, readOnly: verb === "query" });
  }
}

module.exports.createWorkloadModule = () => new Accounts();
