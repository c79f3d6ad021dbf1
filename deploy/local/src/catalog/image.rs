//! Pictures that need no network: a category's sign on a coloured ground, as an SVG in a `data:` URL of some 250 bytes.

/// The path of a sign, within 24 by 24.
#[derive(Clone, Copy, Debug)]
pub(super) struct Icon(&'static str);

pub(super) const BEAN: Icon = Icon("M6 18C2 10 12 2 18 6C10 8 14 14 6 18ZM7 19C15 15 11 10 19 7C22 15 13 22 7 19Z");
pub(super) const CUP: Icon = Icon("M5 7h11v3h3v6h-4v2H6zM16 12v2h1v-2z");
pub(super) const BOOK: Icon = Icon("M4 5c3 0 6 0 8 2c2-2 5-2 8-2v12c-3 0-6 0-8 2c-2-2-5-2-8-2z");
pub(super) const LEAF: Icon = Icon("M5 19C4 9 10 5 20 4C20 14 15 19 8 17L6 20z");
pub(super) const PEN: Icon = Icon("M4 20l1-5L16 4l4 4L9 19z");
pub(super) const SPEAKER: Icon = Icon("M4 9h4l6-5v16l-6-5H4zM16 8c3 2 3 6 0 8z");
pub(super) const TENT: Icon = Icon("M12 4L22 20h-7l-3-6l-3 6H2z");
pub(super) const DIE: Icon = Icon("M4 4h16v16H4zM7 7v3h3V7zM14 14v3h3v-3z");

/// Grounds and signs that go together.
static COLOURS: [(&str, &str); 8] = [
    ("f4e3d3", "7a4a26"),
    ("dcebf5", "24577d"),
    ("e3f1df", "2f6b35"),
    ("f9e0e3", "9a2f42"),
    ("ece4f6", "5b3c8c"),
    ("fdf1cf", "8a6a0a"),
    ("dff3f1", "1d6f68"),
    ("ececec", "3d3d3d"),
];

/// The picture of one product; `seed` chooses the colours.
pub(super) fn url(icon: Icon, seed: u64) -> String {
    let Icon(path) = icon;
    let colours = usize::try_from(seed % 8).ok().and_then(|choice| COLOURS.get(choice));
    let (ground, sign) = colours.copied().unwrap_or(("ffffff", "000000"));
    let svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'>\
         <path fill='#{ground}' d='M0 0h24v24H0z'/><path fill='#{sign}' d='{path}'/></svg>"
    );
    let encoded = svg
        .replace('<', "%3C")
        .replace('>', "%3E")
        .replace('#', "%23")
        .replace(' ', "%20");
    format!("data:image/svg+xml,{encoded}")
}
