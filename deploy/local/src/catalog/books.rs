//! Books that nobody has written yet.

use super::family::{Family, Variants, family, variant, variants};

static BINDINGS: Variants = variants(
    "binding",
    &[
        variant("paperback", "paperback", 0),
        variant("hardcover", "hardcover", 1_000),
    ],
);

pub(super) static FAMILIES: [Family; 18] = [
    book(
        "salt-roads",
        "The Salt Roads North",
        1_600,
        "A ferryman, a smuggled ledger, and a winter that will not end.",
        &[("author", "Ines Halloran"), ("genre", "novel"), ("pages", "352")],
    ),
    book(
        "quiet-engines",
        "Quiet Engines",
        1_700,
        "On the last working night shift of a lunar mine. Shortlisted for three prizes.",
        &[("author", "T. K. Osei"), ("genre", "science fiction"), ("pages", "416")],
    ),
    book(
        "orchard-letters",
        "Letters from the Orchard",
        1_400,
        "Forty years of a friendship, in apples, weather and bad news.",
        &[("author", "Maud Lindqvist"), ("genre", "novel"), ("pages", "288")],
    ),
    book(
        "glass-harbour",
        "The Glass Harbour",
        1_500,
        "Inspector Varga's fourth case begins with a boat that came back alone.",
        &[("author", "Paul Arany"), ("genre", "crime"), ("pages", "320")],
    ),
    book(
        "nine-lanterns",
        "Nine Lanterns",
        1_500,
        "A fairy tale for adults about the price of a promise.",
        &[("author", "Yuki Tanabe"), ("genre", "fantasy"), ("pages", "304")],
    ),
    book(
        "below-the-ice",
        "Below the Ice",
        1_900,
        "What two thousand metres of Antarctic core tell of the next century.",
        &[("author", "Dr. Helen Sørby"), ("genre", "science"), ("pages", "272")],
    ),
    book(
        "short-history-queues",
        "A Short History of Queues",
        1_800,
        "From bread lines to call centres: why we wait, and who decides.",
        &[("author", "Aron Feld"), ("genre", "history"), ("pages", "240")],
    ),
    book(
        "bread-at-home",
        "Bread at Home",
        2_400,
        "Sixty loaves from flour, water, salt and patience.",
        &[("author", "Marta Ruiz"), ("genre", "cooking"), ("pages", "224")],
    ),
    book(
        "one-pan-weeknights",
        "One-Pan Weeknights",
        2_200,
        "A hundred suppers and one thing to wash.",
        &[("author", "Daniel Okafor"), ("genre", "cooking"), ("pages", "256")],
    ),
    book(
        "fermentation-primer",
        "A Fermentation Primer",
        2_100,
        "Kraut, kimchi, kefir and koji, explained from the jar up.",
        &[("author", "Soo-ah Lim"), ("genre", "cooking"), ("pages", "208")],
    ),
    book(
        "balcony-garden",
        "The Balcony Garden",
        2_000,
        "Vegetables for those who have two square metres and hope.",
        &[("author", "Claire Dubois"), ("genre", "gardening"), ("pages", "192")],
    ),
    book(
        "trees-by-bark",
        "Trees by Their Bark",
        1_900,
        "A pocket guide for the months without leaves.",
        &[("author", "Jonas Weber"), ("genre", "nature"), ("pages", "176")],
    ),
    book(
        "practical-knots",
        "Practical Knots",
        1_200,
        "Thirty knots that hold and how to undo them.",
        &[("author", "Finn Calloway"), ("genre", "outdoors"), ("pages", "128")],
    ),
    book(
        "mending",
        "Mending, Visibly",
        1_800,
        "Darning, patching and the pride that comes with it.",
        &[("author", "Hana Sato"), ("genre", "craft"), ("pages", "160")],
    ),
    book(
        "letterforms",
        "Letterforms",
        3_200,
        "How type is drawn, by one who has drawn it for forty years.",
        &[("author", "Erik van Loon"), ("genre", "design"), ("pages", "248")],
    ),
    book(
        "learning-to-listen",
        "Learning to Listen",
        1_600,
        "A musician loses her hearing and finds other ways in.",
        &[("author", "Rosa Benedetti"), ("genre", "memoir"), ("pages", "264")],
    ),
    book(
        "chess-without-fear",
        "Chess without Fear",
        1_700,
        "Openings for people who would rather play than memorise.",
        &[("author", "Viktor Malin"), ("genre", "games"), ("pages", "232")],
    ),
    book(
        "the-very-small-whale",
        "The Very Small Whale",
        1_100,
        "A picture book about being little in a big sea. From three years.",
        &[("author", "Nia Boateng"), ("genre", "children"), ("pages", "32")],
    ),
];

const fn book(
    sku: &'static str,
    name: &'static str,
    price: i64,
    text: &'static str,
    attributes: &'static [(&'static str, &'static str)],
) -> Family {
    family(sku, name, price, text, attributes, &BINDINGS)
}
