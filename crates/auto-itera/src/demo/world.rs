//! The demo's production log: transactions of a B2B bookkeeping product, with known truth.
//!
//! Every row has a true `code` and `sign` by construction. What an arm can know of them lies in
//! the description (a keyword in three rows of five), the counterparty (telling in three of four
//! of the rest) and, for enterprise tenants, sometimes a ledger account number in front; small
//! businesses have card-terminal numbers there that look alike.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write;

/// Rows of the log.
pub const ROWS: usize = 1_500;

/// A code, words that give it away in a description, and counterparties that give it away.
pub struct Code {
    pub name: &'static str,
    pub inflow: bool,
    pub words: &'static [&'static str],
    pub parties: &'static [&'static str],
    /// First digit of its ledger accounts.
    pub account: u32,
}

/// All codes; a transfer to or from an own account is told by the counterparty alone.
pub static CODES: &[Code] = &[
    Code {
        name: "revenue",
        inflow: true,
        words: &["payout", "invoice paid", "settlement"],
        parties: &["Northgate Retail", "Brightline Stores", "Halden Group"],
        account: 4,
    },
    Code {
        name: "refund",
        inflow: true,
        words: &["refund", "credit note"],
        parties: &["Returns Desk", "Claims Office"],
        account: 3,
    },
    Code {
        name: "cogs",
        inflow: false,
        words: &["materials", "freight", "wholesale"],
        parties: &["Orrin Freight", "Castell Timber", "Pell Wholesale"],
        account: 5,
    },
    Code {
        name: "payroll",
        inflow: false,
        words: &["salary", "wages", "payroll"],
        parties: &["Payday Services", "Wagehouse"],
        account: 6,
    },
    Code {
        name: "software",
        inflow: false,
        words: &["subscription", "licence", "hosting"],
        parties: &["Cloudberry Hosting", "Seatware"],
        account: 7,
    },
    Code {
        name: "rent",
        inflow: false,
        words: &["lease", "rent"],
        parties: &["Millbank Estates", "Tarn Property"],
        account: 8,
    },
    Code {
        name: "tax",
        inflow: false,
        words: &["vat", "duty", "levy"],
        parties: &["Revenue Office", "Customs House"],
        account: 2,
    },
    Code { name: "transfer", inflow: true, words: &["own account"], parties: &[], account: 1 },
];

fn pick<'a, T>(rng: &mut ChaCha8Rng, items: &'a [T]) -> &'a T {
    &items[rng.random_range(0..items.len())]
}

/// One period's log as CSV with a header: id, tenant, segment, description, counterparty,
/// amount_text, amount, code, sign. Every period has other rows of the same world.
pub fn transactions_csv(period: u64) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(20_261_123 + period);
    let mut out = String::from("id,tenant,segment,description,counterparty,amount_text,amount,code,sign\n");
    for id in 0..ROWS {
        let enterprise = rng.random_bool(0.55);
        let code = match rng.random_range(0..100) {
            0..26 => &CODES[0],
            26..32 => &CODES[1],
            32..50 => &CODES[2],
            50..62 => &CODES[3],
            62..76 => &CODES[4],
            76..84 => &CODES[5],
            84..91 => &CODES[6],
            _ => &CODES[7],
        };
        let tenant = format!(
            "{}-{:03}",
            if enterprise { "ent" } else { "smb" },
            rng.random_range(0..if enterprise { 320 } else { 400 })
        );
        let transfer = code.name == "transfer";
        // A transfer says so in its words less often than other codes do.
        let worded = rng.random_bool(if transfer { 0.35 } else { 0.60 });
        let told = rng.random_bool(0.76);
        let word = if worded {
            *pick(&mut rng, code.words)
        } else {
            *pick(&mut rng, &["payment", "online banking", "reference", "standing order", "card"])
        };
        let reference: u32 = rng.random_range(100_000..999_999);
        let number = if enterprise {
            rng.random_bool(0.19).then(|| code.account * 1_000 + rng.random_range(100..900))
        } else {
            rng.random_bool(0.20).then(|| rng.random_range(1_000..9_000))
        };
        let prefix = number.map_or(String::new(), |n| format!("{n} "));
        let description = if enterprise {
            format!("{prefix}SEPA {} {reference}", word.to_uppercase())
        } else {
            format!("{prefix}{word} ref {reference}")
        };
        let counterparty = match (transfer, told) {
            (true, _) => format!("{tenant} savings"),
            (false, true) => (*pick(&mut rng, code.parties)).to_owned(),
            (false, false) => (*pick(&mut rng, &["Various", "Unknown", "Bank", "Sundry"])).to_owned(),
        };
        let amount = (f64::exp(rng.random_range(3.0..if enterprise { 10.5 } else { 8.0 })) * 100.0).round() / 100.0;
        let inflow = if transfer { rng.random_bool(0.5) } else { code.inflow };
        let amount_text = match (inflow, rng.random_bool(0.08)) {
            (true, _) => format!("{amount:.2}"),
            (false, false) => format!("-{amount:.2}"),
            (false, true) => format!("({amount:.2})"),
        };
        let sign = if inflow { "in" } else { "out" };
        let _ = writeln!(
            out,
            "tx-{id:05},{tenant},{},{description},{counterparty},{amount_text},{amount:.2},{},{sign}",
            if enterprise { "enterprise" } else { "smb" },
            code.name
        );
    }
    out
}
