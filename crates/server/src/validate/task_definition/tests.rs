//! Golden messages for bad definitions, and the echo of a good one.
