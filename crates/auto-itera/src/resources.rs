//! Resources and prompts: what a client may read, and the skill for editors without skills.
//!
//! Architecture invariant: nothing here opens a row. Resources show the frame, the events and the
//! conclusion, which hold ids and figures and no row's content.

use crate::engine::{Engine, Experiment};
use itera_core::ids::ExperimentId;
use rmcp::model::{
    ErrorData, GetPromptRequestParams, GetPromptResult, Prompt, PromptArgument, PromptMessage, ReadResourceResult,
    Resource, ResourceContents, ResourceTemplate, Role,
};
use serde_json::{Value, json};

/// The skill, as the plugin ships it.
pub const SKILL: &str = include_str!("../../../skill/skills/auto-itera/SKILL.md");
/// Its page on frames.
const FRAME: &str = include_str!("../../../skill/skills/auto-itera/references/frame.md");

const ROOT: &str = "itera://experiments";
const GUARDS: &str = "itera://guards";
/// Views of one experiment: name, media type, what it shows.
const VIEWS: &[(&str, &str, &str)] = &[
    ("frame", "application/json", "The registered frame and its hash"),
    ("conclusion", "text/markdown", "The one-page conclusion"),
    ("ledger", "application/x-ndjson", "The hash-chained events, lists of row ids as their lengths"),
];
/// Characters of one resource: clients cut or refuse more.
const MOST_CHARS: usize = 60_000;

/// The resources that exist now.
pub fn list(engine: &Engine) -> Vec<Resource> {
    let mut found = vec![
        Resource::new(ROOT, "experiments")
            .with_description("Every experiment of this project and where it stands")
            .with_mime_type("application/json"),
        Resource::new(GUARDS, "guards")
            .with_description("Every guard: rule, reason, remedy")
            .with_mime_type("text/markdown"),
    ];
    for experiment in experiments(engine).into_iter().filter_map(Result::ok) {
        for (view, mime, what) in VIEWS {
            if *view == "conclusion" && experiment.state.folder.is_none() {
                continue;
            }
            found.push(
                Resource::new(format!("{ROOT}/{}/{view}", experiment.id), format!("{} {view}", experiment.id))
                    .with_description(*what)
                    .with_mime_type(*mime),
            );
        }
    }
    found
}

/// The shapes of their addresses.
pub fn templates() -> Vec<ResourceTemplate> {
    VIEWS
        .iter()
        .map(|(view, mime, what)| {
            ResourceTemplate::new(format!("{ROOT}/{{id}}/{view}"), format!("experiment {view}"))
                .with_description(*what)
                .with_mime_type(*mime)
        })
        .collect()
}

/// Reads one.
///
/// # Errors
/// There is none at that address.
pub fn read(engine: &Engine, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let missing = || ErrorData::resource_not_found(format!("no resource `{uri}`; list them with resources/list"), None);
    let (text, mime) = if uri == GUARDS {
        (crate::cli::guards_page(), "text/markdown")
    } else if uri == ROOT {
        (pretty(&json!({ "experiments": overview(engine) })), "application/json")
    } else {
        let (id, view) = uri
            .strip_prefix(ROOT)
            .and_then(|r| r.strip_prefix('/'))
            .and_then(|r| r.split_once('/'))
            .ok_or_else(missing)?;
        let (_, mime, _) = VIEWS.iter().find(|(v, _, _)| *v == view).ok_or_else(missing)?;
        let experiment = engine.load(Some(&ExperimentId(id.to_owned()))).map_err(|_| missing())?;
        let text = match view {
            "frame" => pretty(
                &json!({ "frame_hash": experiment.state.frame_hash, "stage": experiment.state.stage, "frame": experiment.state.frame }),
            ),
            "ledger" => ledger(&experiment),
            _ => {
                let folder = experiment.state.folder.as_ref().ok_or_else(missing)?;
                std::fs::read_to_string(engine.root().join(folder).join("conclusion.md")).map_err(|_| missing())?
            }
        };
        (text, *mime)
    };
    Ok(ReadResourceResult::new(vec![ResourceContents::text(bounded(text), uri).with_mime_type(mime)]))
}

fn experiments(engine: &Engine) -> Vec<Result<Experiment, ExperimentId>> {
    let ids = engine.project().ok().and_then(|p| p.experiments().ok()).unwrap_or_default();
    ids.into_iter().map(|id| engine.load(Some(&id)).map_err(|_| id)).collect()
}

fn overview(engine: &Engine) -> Vec<Value> {
    experiments(engine)
        .into_iter()
        .map(|found| match found {
            Ok(e) => json!({
                "experiment_id": e.id,
                "stage": e.state.stage,
                "question": e.state.frame.as_ref().map(|f| f.question.clone()),
                "verdict": e.state.verdict.as_ref().map(|v| v.family.sentence.clone()),
                "folder": e.state.folder,
            }),
            Err(id) => json!({ "experiment_id": id, "unreadable": true }),
        })
        .collect()
}

fn ledger(experiment: &Experiment) -> String {
    experiment
        .entries
        .iter()
        .map(|entry| {
            let mut value = serde_json::to_value(entry).unwrap_or_default();
            shorten(&mut value);
            format!("{value}\n")
        })
        .collect()
}

/// Long lists become their lengths, long texts are cut.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) if items.len() > 40 => *value = json!({ "items": items.len() }),
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(map) => map.values_mut().for_each(shorten),
        Value::String(text) if text.chars().count() > 2_000 => {
            *text = text.chars().take(2_000).chain(" [cut]".chars()).collect()
        }
        _ => {}
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        None => text,
        Some((at, _)) => format!("{}\n[cut: the whole is in the project]", &text[..at]),
    }
}

/// The prompts.
pub fn prompts() -> Vec<Prompt> {
    vec![
        Prompt::new(
            "decide",
            Some("Answer \"should we use X or Y?\" with an experiment on production rows, to a verdict"),
            Some(vec![
                PromptArgument::new("question")
                    .with_description("The question, with its candidates")
                    .with_required(false),
            ]),
        ),
        Prompt::new(
            "audit-judge",
            Some("Find out whether a judge agrees with people, and whether another would agree better"),
            Some(vec![
                PromptArgument::new("judge")
                    .with_description("Where the judge is: file, command or endpoint")
                    .with_required(false),
            ]),
        ),
    ]
}

/// One prompt, filled in.
///
/// # Errors
/// There is no prompt of that name.
pub fn prompt(request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    let argument = |name: &str| {
        request.arguments.as_ref().and_then(|a| a.get(name)).and_then(Value::as_str).unwrap_or("").trim().to_owned()
    };
    let (task, description) = match request.name.as_str() {
        "decide" => {
            let question = argument("question");
            let asked = if question.is_empty() {
                "Ask me for the question and its candidates first.".to_owned()
            } else {
                format!("The question, in my words: {question}")
            };
            (format!("Run an auto-itera experiment to its verdict. {asked}"), "An experiment, from question to verdict")
        }
        "audit-judge" => {
            let judge = argument("judge");
            let named = if judge.is_empty() {
                "Ask me which judge it is and where people's grades are.".to_owned()
            } else {
                format!("The judge: {judge}")
            };
            (
                format!(
                    "Audit a judge with auto-itera: kind `judge_audit`. The judge as deployed is the baseline, a judge of another family or the same judge with one change is the arm, people's \
                     grades are the label, and slices by position, length or family of the graded answer show bias. {named}"
                ),
                "An experiment whose arms are judges",
            )
        }
        other => {
            return Err(ErrorData::invalid_params(
                format!("no prompt `{other}`; there are `decide` and `audit-judge`"),
                None,
            ));
        }
    };
    let text = format!("{task}\n\nFollow this discipline.\n\n{}\n\n{}", body(SKILL), examples(FRAME, &request.name));
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(description))
}

/// The skill without its front matter.
fn body(skill: &str) -> &str {
    skill.splitn(3, "---\n").nth(2).unwrap_or(skill).trim()
}

/// The page on frames down to one example: the first, or the one on judges.
fn examples(page: &str, prompt: &str) -> String {
    let (table, rest) = page.split_once("## One complete frame per kind of question").unwrap_or((page, ""));
    let wanted = if prompt == "audit-judge" { "### `judge_audit`" } else { "### `prompt`" };
    let example = rest.split("\n### ").map(|s| format!("### {s}")).find(|s| s.starts_with(wanted)).unwrap_or_default();
    format!("{}\n\n{example}", table.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use itera_core::command::draft::{Draft, ReferenceFound};
    use itera_core::command::{Command, decide};
    use itera_core::frame::Frame;
    use itera_core::guards::GUARDS as REGISTRY;
    use itera_core::state::State;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn repository() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn backticked(text: &str) -> BTreeSet<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn the_skills_guards_page_is_the_registry() {
        let page = std::fs::read_to_string(repository().join("skill/skills/auto-itera/references/guards.md")).unwrap();
        assert_eq!(
            page,
            crate::cli::guards_page(),
            "run: auto-itera guards > skill/skills/auto-itera/references/guards.md"
        );
    }

    #[test]
    fn the_skill_fits_and_names_only_what_exists() {
        assert!(SKILL.lines().count() < 500);
        let head = SKILL.split("---").nth(1).unwrap();
        let description: Vec<&str> = head.split("description: >-").nth(1).unwrap().split_whitespace().collect();
        let description = description.join(" ");
        assert!(description.len() < 1_500 && !description.contains(": >"), "{}", description.len());
        let guards: BTreeSet<&str> = REGISTRY.iter().map(|g| g.id.name()).collect();
        let table = SKILL.split("## Excuses, and what is true").nth(1).unwrap().split("\n## ").next().unwrap();
        for row in table.lines().filter(|l| l.starts_with("| \"")) {
            let cited = row.rsplit('|').nth(1).unwrap();
            assert!(!backticked(cited).is_empty());
            for id in backticked(cited) {
                assert!(guards.contains(id), "{id} is not a guard");
            }
        }
        let loop_table = SKILL.split("## The loop").nth(1).unwrap().split("\n## ").next().unwrap();
        for tool in crate::tools::TOOLS {
            assert!(
                ["score_cancel"].contains(&tool.name) || loop_table.contains(&format!("`{}`", tool.name)),
                "{}",
                tool.name
            );
        }
    }

    #[test]
    fn references_are_one_level_deep_and_exist() {
        let folder = repository().join("skill/skills/auto-itera");
        for word in backticked(SKILL).into_iter().filter(|w| w.starts_with("references/")) {
            assert!(folder.join(word).is_file(), "{word}");
        }
        for entry in std::fs::read_dir(folder.join("references")).unwrap() {
            assert!(entry.unwrap().path().is_file());
        }
    }

    #[test]
    fn every_example_frame_is_one_that_the_engine_takes() {
        let mut kinds = BTreeSet::new();
        for block in FRAME.split("```json\n").skip(1) {
            let text = block.split("```").next().unwrap();
            let frame: Frame = serde_json::from_str(text).unwrap();
            kinds.insert(serde_json::to_value(frame.kind).unwrap().to_string());
            let references = frame.all_arms().map(|a| (a.id.0.clone(), ReferenceFound::Lines(100))).collect();
            let topic = frame.topic.clone();
            assert!(itera_arms::score::validate(&frame.metric, &frame.failure_modes).is_empty(), "{topic}");
            let draft = Draft { id: ExperimentId::from("2026-01-01-x"), frame, references };
            if let Err(rejection) = decide(&State::default(), Command::Draft(draft)) {
                panic!("{topic}: {rejection}");
            }
        }
        assert_eq!(kinds.len(), 6);
    }

    #[test]
    fn prompts_carry_the_skill_and_stay_small() {
        for name in ["decide", "audit-judge"] {
            let found = prompt(&GetPromptRequestParams::new(name)).unwrap();
            let text = serde_json::to_string(&found.messages).unwrap();
            assert!(
                text.contains("Excuses, and what is true")
                    && text.contains("failure_modes")
                    && !text.contains("description: >-")
            );
            assert!(text.len() < 30_000, "{}", text.len());
        }
        assert!(prompt(&GetPromptRequestParams::new("x")).is_err());
    }

    #[test]
    fn versions_agree() {
        let version = env!("CARGO_PKG_VERSION");
        let launcher = std::fs::read_to_string(repository().join("skill/bin/auto-itera")).unwrap();
        assert!(launcher.contains(&format!("\nVERSION={version}\n")));
        for file in ["skill/.claude-plugin/plugin.json", ".claude-plugin/marketplace.json"] {
            let text = std::fs::read_to_string(repository().join(file)).unwrap();
            assert!(text.contains(&format!("\"version\": \"{version}\"")), "{file}");
        }
    }

    #[test]
    fn resources_exist_without_any_experiment() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::new(dir.path());
        assert_eq!(list(&engine).len(), 2);
        assert!(read(&engine, "itera://guards").is_ok() && read(&engine, "itera://experiments").is_ok());
        for wrong in [
            "itera://x",
            "itera://experiments/none/frame",
            "itera://experiments/../frame",
            "itera://experiments/a/rows",
        ] {
            assert!(read(&engine, wrong).is_err(), "{wrong}");
        }
    }
}
