//! The REST API of statistics.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web;

use crate::domain::calendar::CalendarError;
use crate::domain::calendar::Interval;
use crate::domain::calendar::Zone;
use crate::domain::click::Dimension;
use crate::domain::code::ShortCode;
use crate::domain::key::Scope;
use crate::domain::route::Decision;
use crate::domain::route::LinkState;
use crate::http::caller;
use crate::http::error::ApiError;
use crate::http::error::parameter;
use crate::http::links;
use crate::http::redirect;
use crate::http::state::AppState;
use crate::service::keys::Caller;
use crate::service::links::LinkError;
use crate::service::stats::Kind;
use crate::service::stats::Range;

const DEFAULT_VALUES: usize = 100;
const MAX_VALUES: usize = 1_000;

/// `GET /api/v1/links/{code}/stats`
pub(super) async fn report(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let code = links::code(&path)?;
    allowed(&state, &request, &code).await?;
    let (range, _) = range(&state, &request, false)?;
    let report = state.stats.report(&code, &range).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(report))
}

/// `GET /api/v1/links/{code}/stats/{dimension}`
pub(super) async fn values(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (code, dimension) = path.into_inner();
    let code = links::code(&code)?;
    let dimension = Dimension::from_word(&dimension).ok_or_else(|| {
        let words: Vec<&str> = Dimension::ALL.into_iter().map(Dimension::word).collect();
        parameter(
            "dimension",
            "invalid_choice",
            &format!("must be one of {}", words.join(", ")),
        )
    })?;
    allowed(&state, &request, &code).await?;
    let (range, limit) = range(&state, &request, true)?;
    let values = state.stats.values(&code, dimension, &range, limit).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(values))
}

/// The link exists, and the caller may see its statistics.
async fn allowed(
    state: &AppState,
    request: &HttpRequest,
    code: &ShortCode,
) -> Result<(), ApiError> {
    let caller = caller::caller(state, request)?;
    if !state.settings.public_stats {
        if caller == Caller::Anonymous {
            return Err(ApiError::Unauthenticated(
                "Statistics need an API key here.",
            ));
        }
        if !caller.may(Scope::StatsRead) {
            return Err(ApiError::Forbidden(
                "This key lacks the scope stats:read.".to_owned(),
            ));
        }
        state.links.find(code, &caller).await?;
        return Ok(());
    }
    let now = state.redirector.now();
    let link = match state.links.find_public(code).await {
        Ok(link) => link,
        Err(LinkError::NotFound) => return Err(redirect::missed(state, request, now)),
        Err(error) => return Err(error.into()),
    };
    if link.route.state == LinkState::Purged {
        return Err(ApiError::NotFound);
    }
    // Who may not see the link is not told that it is there while nobody can follow it.
    let is_hidden = link.route.decide(now) == Decision::NotFound;
    if is_hidden && !caller.sees(link.owner.as_deref()) {
        return Err(redirect::missed(state, request, now));
    }
    Ok(())
}

fn range(
    state: &AppState,
    request: &HttpRequest,
    values: bool,
) -> Result<(Range, usize), ApiError> {
    let (mut from, mut to, mut zone) = (None, None, "UTC".to_owned());
    let (mut interval, mut kind, mut limit) =
        (Interval::default(), Kind::default(), DEFAULT_VALUES);
    for (name, value) in links::query(request)? {
        match name.as_str() {
            "from" => from = Some(value),
            "to" => to = Some(value),
            "tz" => zone = value,
            "interval" if !values => {
                interval = Interval::from_word(&value).ok_or_else(|| {
                    parameter(
                        "interval",
                        "invalid_choice",
                        "must be hour, day, week or month",
                    )
                })?;
            }
            "kind" => {
                kind = Kind::from_word(&value).ok_or_else(|| {
                    parameter(
                        "kind",
                        "invalid_choice",
                        "must be human, bot, preview or all",
                    )
                })?;
            }
            "limit" if values => match value.parse() {
                Ok(number @ 1..=MAX_VALUES) => limit = number,
                _ => {
                    return Err(parameter(
                        "limit",
                        "out_of_range",
                        "must be a number from 1 to 1000",
                    ));
                }
            },
            _ => return Err(links::unknown_parameter(&name)),
        }
    }
    let zone = Zone::named(&zone).map_err(|error| complaint("tz", &error))?;
    let now = state.redirector.now();
    let range = Range::of(from.as_deref(), to.as_deref(), zone, interval, kind, now)
        .map_err(|(name, error)| complaint(name, &error))?;
    // Asked here, so that too long a range is told before any database is asked.
    range
        .zone
        .intervals(range.from, range.to, range.interval)
        .map_err(|error| complaint("from", &error))?;
    Ok((range, limit))
}

fn complaint(name: &str, error: &CalendarError) -> ApiError {
    let code = match error {
        CalendarError::UnknownZone => "unknown_zone",
        CalendarError::Time => "invalid_time",
        CalendarError::Order | CalendarError::TooMany => "out_of_range",
    };
    parameter(name, code, &error.to_string())
}
