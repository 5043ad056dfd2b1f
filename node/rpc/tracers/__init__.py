"""The tracers that clients name, in go-ethereum's shapes (geth.ethereum.org/docs/developers/evm-tracing).

| tracer | module |
|---|---|
| none named: the struct logger | `steps.py` |
| `callTracer`, `flatCallTracer` | `frames.py` |
| `prestateTracer` | `prestate.py` |
| `4byteTracer`, `noopTracer` | `frames.py` |
"""
