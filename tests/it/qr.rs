//! QR codes: what can be asked of the picture, and what is in it.

use crate::app::on_each;
use crate::client::Answer;

#[test]
fn a_qr_code_has_the_size_and_colours_that_were_asked_for() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        let svg = app.get(&format!(
            "/{code}/qr.svg?size=300&margin=2&level=H&color=1a2b3c&background=FFEEDD"
        ));
        assert_eq!(svg.status, 200);
        assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
        let text = svg.text();
        for part in ["width=\"300\" height=\"300\"", "#1a2b3c", "#ffeedd"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for (query, side) in [
            ("", 512),
            ("?size=64&margin=0", 64),
            ("?size=2048&level=L", 2_048),
        ] {
            let answer = app.get(&format!("/{code}/qr.png{query}"));
            assert_eq!(answer.header("content-type"), Some("image/png"));
            let (width, height, pixels) = decoded(&answer);
            assert_eq!((width, height), (side, side), "{query}");
            assert!(pixels.contains(&0) && pixels.contains(&255), "two colours");
        }
    });
}

#[test]
fn a_qr_code_that_was_seen_is_not_sent_again() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        for file in ["qr.svg", "qr.png"] {
            let path = format!("/{code}/{file}");
            let etag = app.get(&path).header("etag").unwrap().to_owned();
            let again = app.ask("GET", &path).with("If-None-Match", &etag).send();
            assert_eq!(again.status, 304);
            assert_eq!(again.header("etag"), Some(etag.as_str()));
            assert!(again.body.is_empty());
            let other = app
                .ask("GET", &path)
                .with("If-None-Match", "\"other\"")
                .send();
            assert_eq!(other.status, 200);
        }
    });
}

#[test]
fn what_no_picture_can_have_is_refused_by_name() {
    on_each(|app| {
        let code = app.code_to("https://example.com/");
        for (query, name) in [
            ("size=63", "size"),
            ("size=2049", "size"),
            ("size=-1", "size"),
            ("size=x", "size"),
            ("size=64&margin=32", "size"),
            ("margin=33", "margin"),
            ("level=m", "level"),
            ("level=", "level"),
            ("color=red", "color"),
            ("color=%23fff", "color"),
            ("color=12345%22", "color"),
            ("background=1234567", "background"),
            ("colour=000000", "colour"),
        ] {
            for file in ["qr.svg", "qr.png"] {
                let answer = app.get(&format!("/{code}/{file}?{query}"));
                let problem = answer.expect_problem(422, "validation_failed");
                assert_eq!(problem["errors"][0]["pointer"], format!("?{name}"));
            }
        }
    });
}

fn decoded(answer: &Answer) -> (u32, u32, Vec<u8>) {
    assert!(answer.body.starts_with(b"\x89PNG\r\n\x1a\n"));
    let mut decoder = png::Decoder::new(std::io::Cursor::new(&answer.body));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    (frame.width, frame.height, pixels)
}
