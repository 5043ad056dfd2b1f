#!/bin/sh
# Makes keys, genesis file and data directories of four validators below $1, for docs/ops/compose.yml; once only.
# $2 is the file with the passphrase of their keys.
set -eu
data=$1 passphrase=$2

if [ -e "$data/genesis.json" ]; then
    echo "four validators are in $data"
    exit 0
fi
public() {
    gridpact keys new --kind "$2" --out "$data/keys/$1.json" --passphrase-file "$passphrase" --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["public"])'
}
# What a run that was cut off left behind has never been used: the genesis file is put there last.
rm -rf "$data/keys" "$data/members.csv" "$data/genesis.draft" "$data/node-0" "$data/node-1" "$data/node-2" "$data/node-3"
mkdir -p "$data/keys"
echo 'name,account,node_key,endpoint' >"$data/members.csv"
for number in 0 1 2 3; do
    account=$(public "house-$number" account)
    node_key=$(public "node-$number" node)
    echo "house-$number,$account,$node_key,node-$number:30300" >>"$data/members.csv"
done
gridpact genesis new --out "$data/genesis.draft" --chain-id "${CHAIN_ID:-20160621}" --members "$data/members.csv" --open-accounts
for number in 0 1 2 3; do
    gridpact node init --data "$data/node-$number" --genesis "$data/genesis.draft" \
        --key "$data/keys/node-$number.json" --passphrase-file "$passphrase" --p2p 0.0.0.0:30300 --rpc 0.0.0.0:8545
    # Prometheus and the other containers call it by its name.
    sed -i "s/^hosts = \[/hosts = [\"node-$number\", /" "$data/node-$number/node.toml"
done
mv "$data/genesis.draft" "$data/genesis.json"
