//! One URL, and how the answer came about.

use serde_json::Value;
use serde_json::json;

use crate::classify::Answer;
use crate::classify::Decided;
use crate::classify::Question;
use crate::commands::Failure;
use crate::commands::classify::loaded;
use crate::commands::report;
use crate::config::Config;
use crate::domain::label::Category;

/// Categories that are shown.
const SHOWN: usize = 5;

/// Classifies and explains.
pub(super) fn run(
    config: &Config,
    urls: &[String],
    title: Option<&str>,
    as_json: bool,
) -> Result<(), Failure> {
    let classifier = loaded(config);
    let questions: Vec<Question> = urls
        .iter()
        .map(|url| Question {
            url: url.clone(),
            title: title.map(str::to_owned),
        })
        .collect();
    let answers = classifier.answer(&questions);
    let name = classifier.name();
    if as_json {
        let answers: Vec<Value> = questions
            .iter()
            .zip(&answers)
            .map(|(question, answer)| facts(&question.url, answer))
            .collect();
        report::json(&json!({"schema_version": 1, "model": name, "answers": answers}));
        return Ok(());
    }
    for (question, answer) in questions.iter().zip(&answers) {
        tell(&question.url, answer, &name);
    }
    Ok(())
}

fn top(answer: &Answer) -> Vec<(Category, f32)> {
    let shares = answer.shares.iter().copied().enumerate();
    let mut shares: Vec<(Category, f32)> = shares
        .filter_map(|(at, share)| Some((Category::from_number(at)?, share)))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares.truncate(SHOWN);
    shares
}

fn facts(url: &str, answer: &Answer) -> Value {
    let top: Vec<Value> = top(answer)
        .into_iter()
        .map(|(category, share)| json!({"category": category, "share": share}))
        .collect();
    let words: Vec<Value> = answer
        .spoke
        .iter()
        .map(|spoke| {
            json!({"rule": spoke.what, "word": spoke.word, "category": spoke.category,
                   "weight": spoke.weight})
        })
        .collect();
    let risk: Vec<Value> = answer
        .assessment
        .fired
        .iter()
        .map(|(rule, weight)| json!({"rule": rule, "weight": weight}))
        .collect();
    json!({
        "url": url, "category": answer.label.category, "confidence": answer.label.confidence,
        "decided_by": answer.decided, "tokens": answer.words.all(), "top": top,
        "lexicon": words, "risk": answer.label.risk, "risk_rules": risk,
        "refused_at_creation": answer.assessment.certain,
    })
}

fn tell(url: &str, answer: &Answer, model: &str) {
    let (label, risk) = (&answer.label, &answer.label.risk);
    let shown: String = url.chars().filter(|c| !c.is_control()).take(200).collect();
    report::line(&shown);
    let decided = match answer.decided {
        Decided::Rules => "the rules decided",
        Decided::Model => "the model decided",
        Decided::Both => "model and rules agree",
        Decided::KnownSite => "the site is well known",
    };
    let (category, confidence) = (label.category, label.confidence);
    report::line(&format!(
        "  category  {category} ({confidence:.2}; {decided}; {model})"
    ));
    report::line(&format!("  tokens    {}", answer.words.all().join(" ")));
    let top = top(answer);
    let top: Vec<String> = top
        .iter()
        .map(|(name, share)| format!("{name} {share:.2}"))
        .collect();
    report::line(&format!("  top       {}", top.join(", ")));
    for spoke in &answer.spoke {
        let (what, word, category) = (spoke.what, &spoke.word, spoke.category);
        report::line(&format!(
            "  lexicon   {what} {word:?} → {category} ({:.2})",
            spoke.weight
        ));
    }
    let (verdict, score) = (risk.verdict.word(), risk.score);
    report::line(&format!("  risk      {verdict} ({score:.2})"));
    for (rule, weight) in &answer.assessment.fired {
        report::line(&format!("            {weight:.2} {rule}"));
    }
    if answer.assessment.certain {
        report::line("            certain: no link is made to it");
    }
}
