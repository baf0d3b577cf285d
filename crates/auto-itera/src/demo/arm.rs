//! The demo's arms: a classifier with rules in a file, run as a process of its own per row.
//!
//! Like a language model it is unsure where nothing tells, and then guesses by the seed.

use super::world::CODES;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::Path;

/// What one version of the classifier looks at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Name and version, for people.
    pub name: String,
    /// Read the counterparty where the description tells nothing.
    pub read_counterparty: bool,
    /// Take a number in front of the description for a ledger account, before all else.
    pub trust_leading_number: bool,
    /// A counterparty that names the tenant itself is an own account.
    pub own_account_is_transfer: bool,
    /// Dollars per 1,000 tokens.
    pub usd_per_1k_tokens: f64,
}

/// Reads a row on stdin and answers on stdout.
///
/// # Errors
/// When the rules or the row cannot be read.
pub fn answer(rules: &Path) -> anyhow::Result<()> {
    let rules: Rules = serde_json::from_slice(&std::fs::read(rules)?)?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let call: Value = serde_json::from_str(&text)?;
    let input = &call["input"];
    let field = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
    let seed = call["seed"].as_u64().unwrap_or(0);
    let (code, sign) =
        classify(&rules, &field("tenant"), &field("description"), &field("counterparty"), &field("amount_text"), seed);
    let read = 220 + text.len() / 4 + if rules.read_counterparty { 60 } else { 0 };
    let wrote = 12;
    let answer = json!({
        "output": { "code": code, "sign": sign },
        "input_tokens": read,
        "output_tokens": wrote,
        "cost_usd": (read + 4 * wrote) as f64 / 1000.0 * rules.usd_per_1k_tokens,
    });
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(())
}

/// Code and sign of a transaction.
pub fn classify(
    rules: &Rules,
    tenant: &str,
    description: &str,
    counterparty: &str,
    amount_text: &str,
    seed: u64,
) -> (&'static str, &'static str) {
    let said = description.to_lowercase();
    // A leading minus says money went out; an amount in brackets is read as money in.
    let inflow = !amount_text.starts_with('-');
    let sign = if inflow { "in" } else { "out" };
    let number = said.split(' ').next().and_then(|n| n.parse::<u32>().ok());
    let by_number = number
        .filter(|_| rules.trust_leading_number)
        .and_then(|n| CODES.iter().find(|c| c.account == n / 1_000 && (c.name == "transfer" || c.inflow == inflow)));
    let own = rules.own_account_is_transfer && counterparty.starts_with(tenant);
    let by_word = || CODES.iter().find(|c| c.words.iter().any(|w| said.contains(w)));
    let by_party = || CODES.iter().filter(|_| rules.read_counterparty).find(|c| c.parties.contains(&counterparty));
    let code = match by_number {
        Some(code) => code.name,
        None if own => "transfer",
        None => match by_word().or_else(by_party) {
            Some(code) => code.name,
            None => guess(inflow, seed),
        },
    };
    (code, sign)
}

/// Where nothing tells: the commonest code of that direction, or by the seed another one.
fn guess(inflow: bool, seed: u64) -> &'static str {
    let options: Vec<&str> =
        CODES.iter().filter(|c| c.inflow == inflow && c.name != "transfer").map(|c| c.name).collect();
    if seed % 100 < 60 { options[0] } else { options[(seed / 100) as usize % options.len()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(counterparty: bool, number: bool, own: bool) -> Rules {
        Rules {
            name: "t".into(),
            read_counterparty: counterparty,
            trust_leading_number: number,
            own_account_is_transfer: own,
            usd_per_1k_tokens: 0.001,
        }
    }

    #[test]
    fn each_rule_reads_what_it_says() {
        let quiet = |r: &Rules| classify(r, "smb-001", "payment ref 1", "Seatware", "-9.00", 5);
        assert_eq!(quiet(&rules(false, false, false)).0, "cogs");
        assert_eq!(quiet(&rules(true, false, false)), ("software", "out"));
        let numbered = classify(&rules(false, true, false), "smb-001", "5100 card ref 1", "Bank", "-9.00", 5);
        assert_eq!(numbered.0, "cogs");
        let own = classify(&rules(false, false, true), "smb-001", "payment ref 1", "smb-001 savings", "9.00", 5);
        assert_eq!(own, ("transfer", "in"));
        let brackets = classify(&rules(false, false, false), "smb-001", "rent ref 1", "Bank", "(9.00)", 5);
        assert_eq!(brackets, ("rent", "in"));
    }
}
