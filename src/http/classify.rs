//! `POST /api/v1/classify`: what URLs are about and how dangerous they look, without making links.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;
use serde_json::Value;
use serde_json::json;

use crate::classify::Answer;
use crate::classify::Question;
use crate::domain::key::Scope;
use crate::http::body;
use crate::http::caller::caller_with;
use crate::http::error::ApiError;
use crate::http::links::rounded;
use crate::http::state::AppState;
use crate::service::link_input;
use crate::service::link_input::FieldError;
use crate::service::link_input::MAX_TITLE;
use crate::service::link_input::has_control;

/// URLs in one request.
const MAX_URLS: usize = 100;
/// The longest URL, as for targets.
const MAX_BYTES: usize = 2_048;
const PATIENCE: Duration = Duration::from_secs(10);
const TOO_SLOW: &str = "The classifier is busy; ask again for fewer URLs.";

/// `POST /api/v1/classify`
pub(super) async fn classify(
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    caller_with(&state, &request, Scope::LinksRead)?;
    let body = body::json(&request, payload, body::ORDINARY).await?;
    let questions = questions(&body)?;
    let classifier = Arc::clone(&state.classifier);
    let model = classifier.name();
    // A pass of the model takes milliseconds: never on a thread that serves redirects.
    let asked = web::block(move || classifier.answer(&questions));
    let answers = match actix_web::rt::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(error)) => return Err(ApiError::Internal(format!("classify: {error}"))),
        Err(_) => return Err(ApiError::TooSlow(TOO_SLOW)),
    };
    let answers: Vec<Value> = answers.iter().map(|one| answer_json(one, &model)).collect();
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(answers))
}

fn answer_json(answer: &Answer, model: &str) -> Value {
    let (label, risk) = (&answer.label, &answer.label.risk);
    json!({
        "category": label.category, "confidence": rounded(label.confidence),
        "risk": {
            "score": rounded(risk.score), "verdict": risk.verdict, "reasons": risk.reasons,
        },
        "decided_by": answer.decided, "model": model,
    })
}

/// The title beside `{url}`; an empty one is none.
fn title(map: &serde_json::Map<String, Value>) -> Result<Option<String>, FieldError> {
    let Some(title) = map.get("title").filter(|title| !title.is_null()) else {
        return Ok(None);
    };
    if map.contains_key("urls") {
        let problem = "stands beside urls; send it with one url";
        return Err(FieldError::at("/title", "conflict", problem));
    }
    let title = link_input::text("/title", title, MAX_TITLE)?;
    Ok(title.filter(|title| !title.is_empty()))
}

/// The URLs of `{url, title}` or `{urls: []}`.
fn questions(body: &Value) -> Result<Vec<Question>, ApiError> {
    let wrong = |complaint| Err(ApiError::Invalid(vec![complaint]));
    let Value::Object(map) = body else {
        return wrong(FieldError::at(
            "",
            "wrong_type",
            "the body must be {\"url\": …} or {\"urls\": […]}",
        ));
    };
    if let Some(name) = map
        .keys()
        .find(|name| !matches!(name.as_str(), "url" | "urls" | "title"))
    {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        return wrong(FieldError::at(
            &format!("/{shown}"),
            "unknown_field",
            "is no field here",
        ));
    }
    let urls: Vec<(String, &Value)> = match (map.get("url"), map.get("urls")) {
        (Some(url), None) => vec![("/url".to_owned(), url)],
        (None, Some(Value::Array(urls))) if (1..=MAX_URLS).contains(&urls.len()) => {
            let places = (0..urls.len()).map(|at| format!("/urls/{at}"));
            places.zip(urls).collect()
        }
        (None, Some(_)) => {
            return wrong(FieldError::at(
                "/urls",
                "out_of_range",
                "must be a list of 1 to 100 URLs",
            ));
        }
        (Some(_), Some(_)) => {
            return wrong(FieldError::at(
                "/urls",
                "conflict",
                "stands beside url; send one of them",
            ));
        }
        (None, None) => {
            return wrong(FieldError::at(
                "/url",
                "required",
                "is required: the URL to classify",
            ));
        }
    };
    let mut questions = Vec::with_capacity(urls.len());
    let mut complaints = Vec::new();
    let title = title(map).unwrap_or_else(|wrong| {
        complaints.push(wrong);
        None
    });
    for (pointer, url) in urls {
        match url.as_str() {
            None => complaints.push(FieldError::at(&pointer, "wrong_type", "must be a text")),
            Some(url) if has_control(url) => {
                complaints.push(FieldError::at(
                    &pointer,
                    "control_characters",
                    "contains control characters",
                ));
            }
            Some(url) if url.len() > MAX_BYTES => {
                complaints.push(FieldError::at(
                    &pointer,
                    "too_long",
                    "is longer than 2,048 bytes",
                ));
            }
            Some(url) if url::Url::parse(url).is_err() => {
                let problem = "is not an absolute URL such as https://example.com/page";
                complaints.push(FieldError::at(&pointer, "malformed_url", problem));
            }
            Some(url) => questions.push(Question {
                url: url.to_owned(),
                title: title.clone(),
            }),
        }
    }
    if complaints.is_empty() {
        Ok(questions)
    } else {
        Err(ApiError::Invalid(complaints))
    }
}
