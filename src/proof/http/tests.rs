#![allow(clippy::unwrap_used)]

use super::*;

fn proof(more: &str) -> Http {
    serde_json::from_str(&format!(r#"{{"url": "https://app.example.org/"{more}}}"#)).unwrap()
}

fn response(status: u16, location: &str, body: &str) -> Response {
    let headers = vec![("location".to_owned(), location.to_owned())];
    Response { status, headers, body: body.as_bytes().to_vec(), tls: None }
}

#[test]
fn status_content_and_target_must_all_be_right() {
    let why = |more: &str, response: &Response| proof(more).judge(response).unwrap_err().why;
    assert!(why("", &response(502, "", "")).contains("502 instead of 200"));
    assert!(why(r#", "contains": "It works""#, &response(200, "", "Welcome to nginx")).contains("It works"));
    let redirect = r#", "status": 301, "location": "https://app.example.org/""#;
    assert!(why(redirect, &response(301, "https://other/", "")).contains("https://other/"));
    let evidence = proof(redirect).judge(&response(301, "https://app.example.org/", "moved")).unwrap();
    assert_eq!(evidence, "301, 5 bytes, to https://app.example.org/");
    assert_eq!(proof(r#", "contains": "works""#).judge(&response(200, "", "it works")).unwrap(), "200, 8 bytes");
}

#[test]
fn numbers_are_grouped_by_thousands() {
    assert_eq!([0, 999, 1204, 1_048_576].map(grouped), ["0", "999", "1,204", "1,048,576"]);
}
