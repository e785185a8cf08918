//! QR codes of short URLs: SVG from modules alone, PNG, both of any size.

use std::fmt::Write as _;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use fast_qr::ECL;
use fast_qr::QRBuilder;
use fast_qr::qr::QRCode;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::code::ShortCode;
use crate::http::client::Client;
use crate::http::error::ApiError;
use crate::http::error::parameter;
use crate::http::links;
use crate::http::pages;
use crate::http::state::AppState;

/// How the picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Svg,
    Png,
}

impl Format {
    pub(super) fn of(extension: &str) -> Option<Self> {
        match extension {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            _ => None,
        }
    }
}

/// What a request asks of the picture.
#[derive(Clone, Copy, Debug)]
struct Look {
    size: usize,
    margin: usize,
    level: ECL,
    dark: [u8; 3],
    light: [u8; 3],
}

/// `GET /{code}/qr.svg` and `qr.png`: only where the link may be followed.
pub(super) async fn answer(
    state: &Arc<AppState>,
    request: &HttpRequest,
    code: &ShortCode,
    format: Format,
) -> Result<HttpResponse, ApiError> {
    let look = look(request)?;
    pages::followable(state, request, code).await?;
    let peer = request.peer_addr().map(|peer| peer.ip());
    let base = Client::of(state, peer, request.headers()).base(state);
    let text = format!("{base}/{code}?qr=1");
    let drawn = QRBuilder::new(text.as_str()).ecl(look.level).build();
    let drawn = drawn.map_err(|error| ApiError::Internal(format!("a QR code: {error:?}")))?;
    let modules = drawn.size + 2 * look.margin;
    if modules > look.size {
        let problem = format!("is too small for this code and margin: {modules} at least");
        return Err(parameter("size", "out_of_range", &problem));
    }
    let (kind, bytes) = match format {
        Format::Svg => ("image/svg+xml", svg(&drawn, look).into_bytes()),
        Format::Png => ("image/png", png(&drawn, look)?),
    };
    let etag = format!("\"{:016x}\"", xxh3_64(&bytes));
    let seen = links::matches_etag(request, &etag);
    let mut response = if seen {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, etag))
        .insert_header((header::CACHE_CONTROL, "private, max-age=60"));
    if seen {
        return Ok(response.finish());
    }
    Ok(response.content_type(kind).body(bytes))
}

fn look(request: &HttpRequest) -> Result<Look, ApiError> {
    let mut look = Look {
        size: 512,
        margin: 4,
        level: ECL::M,
        dark: [0; 3],
        light: [255; 3],
    };
    for (name, value) in links::query(request)? {
        match name.as_str() {
            "size" => match value.parse() {
                Ok(size @ 64..=2_048) => look.size = size,
                _ => {
                    return Err(parameter(
                        "size",
                        "out_of_range",
                        "must be a number from 64 to 2048",
                    ));
                }
            },
            "margin" => match value.parse() {
                Ok(margin @ 0..=32) => look.margin = margin,
                _ => {
                    return Err(parameter(
                        "margin",
                        "out_of_range",
                        "must be a number from 0 to 32 modules",
                    ));
                }
            },
            "level" => {
                look.level = match value.as_str() {
                    "L" => ECL::L,
                    "M" => ECL::M,
                    "Q" => ECL::Q,
                    "H" => ECL::H,
                    _ => return Err(parameter("level", "invalid_choice", "must be L, M, Q or H")),
                };
            }
            "color" => look.dark = color("color", &value)?,
            "background" => look.light = color("background", &value)?,
            "v" => (), // a cache's own mark
            _ => return Err(links::unknown_parameter(&name)),
        }
    }
    Ok(look)
}

/// Six hex digits: nothing else can stand in an SVG's attribute.
fn color(name: &str, text: &str) -> Result<[u8; 3], ApiError> {
    let digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = digits.then(|| u32::from_str_radix(text, 16).ok()).flatten();
    let [_, red, green, blue] = number
        .ok_or_else(|| {
            parameter(
                name,
                "invalid_color",
                "must be six hex digits, such as 1a2b3c",
            )
        })?
        .to_be_bytes();
    Ok([red, green, blue])
}

fn is_dark(drawn: &QRCode, x: usize, y: usize) -> bool {
    drawn
        .data
        .get(y * drawn.size + x)
        .is_some_and(|module| module.value())
}

fn svg(drawn: &QRCode, look: Look) -> String {
    let side = drawn.size + 2 * look.margin;
    let hex = |[red, green, blue]: [u8; 3]| format!("#{red:02x}{green:02x}{blue:02x}");
    let mut path = String::new();
    for y in 0..drawn.size {
        for x in (0..drawn.size).filter(|x| is_dark(drawn, *x, y)) {
            let (x, y) = (x + look.margin, y + look.margin);
            write!(path, "M{x} {y}h1v1h-1z").expect("a text takes every letter");
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"{size}\" \
         viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"{light}\" d=\"M0 0h{side}v{side}H0z\"/><path fill=\"{dark}\" d=\"{path}\"/></svg>",
        size = look.size,
        light = hex(look.light),
        dark = hex(look.dark),
    )
}

/// Whole pixels for each module, centred in the asked size.
fn png(drawn: &QRCode, look: Look) -> Result<Vec<u8>, ApiError> {
    let side = drawn.size + 2 * look.margin;
    let scale = look.size / side;
    let border = (look.size - scale * side) / 2 + scale * look.margin;
    let mut pixels = Vec::with_capacity(look.size * look.size);
    let module = |pixel: usize| {
        let inside = pixel.checked_sub(border)? / scale;
        (inside < drawn.size).then_some(inside)
    };
    for y in 0..look.size {
        for x in 0..look.size {
            let dark = matches!((module(x), module(y)), (Some(x), Some(y)) if is_dark(drawn, x, y));
            pixels.push(u8::from(dark));
        }
    }
    let mut bytes = Vec::new();
    let size = u32::try_from(look.size).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut bytes, size, size);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette([look.light, look.dark].concat());
    let written = encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels));
    written.map_err(|error| ApiError::Internal(format!("a PNG: {error}")))?;
    Ok(bytes)
}
