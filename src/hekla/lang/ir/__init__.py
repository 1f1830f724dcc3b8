"""The intermediate representation: functions of blocks of typed operations, in MLIR's vocabulary."""
