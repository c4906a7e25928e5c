//! Templates over rows, from the outside.

use std::sync::Arc;

use chrono::{TimeZone, Utc};

use super::*;
use crate::run::{Row, Scalar};

fn source(text: &str) -> TemplateSource {
    TemplateSource { origin: "mail.txt".into(), text: text.into() }
}

fn row(pairs: &[(&str, Scalar)]) -> Row {
    let columns: Vec<String> = pairs.iter().map(|(name, _)| (*name).to_owned()).collect();
    Row { columns: Arc::from(columns), values: pairs.iter().map(|(_, value)| value.clone()).collect() }
}

fn render(place: Place, text: &str, row: &Row) -> Result<String, RenderError> {
    let templates = Templates::compile(vec![("t", place, source(text))]).unwrap();
    let fire_time = Utc.with_ymd_and_hms(2026, 6, 1, 1, 0, 0).unwrap();
    let now = Utc.with_ymd_and_hms(2026, 6, 1, 16, 0, 5).unwrap();
    templates.render("t", &Context::row(row, fire_time, now))
}

fn text(value: &str) -> Scalar {
    Scalar::Text(value.into())
}

#[test]
fn values_keep_their_types() {
    let row = row(&[
        ("id", Scalar::Int(i64::MAX)),
        ("low", Scalar::Int(i64::MIN)),
        ("rate", Scalar::Float(0.1)),
        ("vip", Scalar::Bool(true)),
        ("name", text("张三 <&>")),
    ]);
    let rendered =
        render(Place::Text, "{{ id }} {{ low }} {{ rate }} {{ vip }} {{ name }} {{ rate * 2 }}", &row);
    assert_eq!(rendered.unwrap(), "9223372036854775807 -9223372036854775808 0.1 True 张三 <&> 0.2");
}

#[test]
fn values_are_escaped_for_their_place() {
    let row = row(&[("v", text("<a&b> \"张\"'/"))]);
    assert_eq!(render(Place::Text, "{{ v }}", &row).unwrap(), "<a&b> \"张\"'/");
    assert_eq!(render(Place::Html, "{{ v }}", &row).unwrap(), "&lt;a&amp;b&gt; &quot;张&quot;&#x27;&#x2f;");
    assert_eq!(render(Place::Url, "u?{{ v }}", &row).unwrap(), "u?%3Ca%26b%3E%20%22%E5%BC%A0%22%27%2F");
    assert_eq!(render(Place::Html, "{{ v | safe }}", &row).unwrap(), "<a&b> \"张\"'/");
    assert_eq!(
        render(Place::Html, "{{ v | urlencode }}", &row).unwrap(),
        "%3Ca%26b%3E%20%22%E5%BC%A0%22%27%2F"
    );
}

#[test]
fn null_and_missing_columns_are_named() {
    let row = row(&[("name", Scalar::Null), ("other", Scalar::Null)]);
    let error = render(Place::Text, "{{ other | default('x') }}\n{{ name }}", &row).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column \"name\" is NULL (mail.txt line 2); fill it, or write {{ name | default(\"…\") }}"
    );
    assert!(matches!(error.into(), Outcome::Failed { .. }));
    let error = render(Place::Text, "{{ nmae | upper }}", &row).unwrap_err();
    assert!(
        matches!(&error, RenderError::Column { column, state: "missing", .. } if column == "nmae"),
        "{error}"
    );
    assert!(matches!(error.into(), Outcome::Halt { .. }));
}

#[test]
fn a_template_may_say_what_stands_in() {
    let row = row(&[("name", Scalar::Null)]);
    assert_eq!(render(Place::Text, "{{ name | default('friend') }}", &row).unwrap(), "friend");
    assert_eq!(render(Place::Text, "{% if name %}{{ name }}{% else %}you{% endif %}", &row).unwrap(), "you");
    assert_eq!(render(Place::Text, "{{ name is defined }}", &row).unwrap(), "False");
}

#[test]
fn times_are_beijing_time() {
    let row = row(&[("id", Scalar::Int(1))]);
    assert_eq!(
        render(Place::Text, "{{ fire_time }}|{{ now }}", &row).unwrap(),
        "2026-06-01 09:00:00|2026-06-02 00:00:05"
    );
    assert_eq!(
        render(Place::Text, "{{ now.strftime('%Y年%-m月%-d日') }} {{ now.weekday }} {{ now.unix }}", &row)
            .unwrap(),
        "2026年6月2日 2 1780329605"
    );
    assert!(matches!(
        render(Place::Text, "{{ now.strftime('%!') }}", &row).unwrap_err(),
        RenderError::Template { message, .. } if message.contains("not a time format")
    ));
}

#[test]
fn a_column_hides_a_built_in_of_its_name() {
    let row = row(&[("now", text("column"))]);
    assert_eq!(render(Place::Text, "{{ now }}", &row).unwrap(), "column");
}

#[test]
fn digests_see_all_rows() {
    let templates = Templates::compile(vec![(
        "t",
        Place::Text,
        source("{{ rows | length }}:{% for r in rows %} {{ r.a }}{% endfor %}"),
    )])
    .unwrap();
    let rows = [row(&[("a", Scalar::Int(1))]), row(&[("a", Scalar::Int(2))])];
    let at = Utc.with_ymd_and_hms(2026, 6, 1, 1, 0, 0).unwrap();
    assert_eq!(templates.render("t", &Context::rows(&rows, at, at)).unwrap(), "2: 1 2");
    let rows = [row(&[("a", Scalar::Int(1))]), row(&[("a", Scalar::Null)])];
    let error = templates.render("t", &Context::rows(&rows, at, at)).unwrap_err();
    assert!(matches!(&error, RenderError::Column { column, .. } if column == "a"), "{error}");
}

#[test]
fn compile_errors_name_file_and_line() {
    let error = Templates::compile(vec![("t", Place::Text, source("hello\n{{ name"))]).unwrap_err();
    assert_eq!((error.origin.as_str(), error.line), ("mail.txt", 2));
    assert!(error.to_string().starts_with("mail.txt:2: syntax error: "), "{error}");
}

#[test]
fn variables_are_the_columns_that_templates_need() {
    let templates = Templates::compile(vec![
        (
            "a",
            Place::Text,
            source("{{ b }}{{ now }}{% for i in range(3) %}{{ i }}{{ loop.index }}{% endfor %}"),
        ),
        ("b", Place::Text, source("{{ a }}{{ b.c }}{{ fire_time }}")),
    ])
    .unwrap();
    assert_eq!(templates.variables(), ["a", "b"]);
}

#[test]
fn a_fault_of_the_template_itself_halts() {
    let row = row(&[("id", Scalar::Int(1))]);
    let error = render(Place::Text, "{{ id | shout }}", &row).unwrap_err();
    assert!(error.to_string().contains("shout"), "{error}");
    assert!(matches!(error.into(), Outcome::Halt { .. }));
    let error = render(Place::Text, "{{ 1 / (id - 1) }}", &row).unwrap_err();
    assert!(matches!(error.into(), Outcome::Failed { .. }));
}
