//! itera-ledger
