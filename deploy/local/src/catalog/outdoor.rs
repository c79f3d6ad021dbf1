//! For days and nights outside.

use super::family::{Family, SINGLE, Variants, family, variant, variants};

static PERSONS: Variants = variants(
    "persons",
    &[
        variant("1p", "1 person", 0),
        variant("2p", "2 persons", 6_000),
        variant("4p", "4 persons", 17_000),
    ],
);
static WARMTH: Variants = variants(
    "comfort",
    &[
        variant("summer", "+8 °C", 0),
        variant("three-season", "-2 °C", 5_000),
        variant("winter", "-12 °C", 14_000),
    ],
);
static VOLUMES: Variants = variants(
    "volume",
    &[
        variant("25l", "25 l", 0),
        variant("40l", "40 l", 4_000),
        variant("60l", "60 l", 8_000),
    ],
);
static COLOURS: Variants = variants(
    "colour",
    &[
        variant("slate", "slate", 0),
        variant("ochre", "ochre", 0),
        variant("pine", "pine", 0),
        variant("coral", "coral", 0),
    ],
);
static SIZES: Variants = variants(
    "size",
    &[
        variant("s", "S", 0),
        variant("m", "M", 0),
        variant("l", "L", 0),
        variant("xl", "XL", 0),
    ],
);

pub(super) static FAMILIES: [Family; 15] = [
    family(
        "tent-ridge",
        "Ridge Tent",
        22_900,
        "Up in four minutes, dry in four days of rain.",
        &[("season", "3"), ("water column", "3000 mm")],
        &PERSONS,
    ),
    family(
        "tarp-silnylon",
        "Silnylon Tarp",
        7_900,
        "A roof that fits a coat pocket. With lines and pegs.",
        &[("weight", "420 g")],
        &PERSONS,
    ),
    family(
        "sleeping-bag",
        "Down Sleeping Bag",
        16_900,
        "Traceable duck down in a shell that breathes.",
        &[("fill", "700 cuin")],
        &WARMTH,
    ),
    family(
        "mat-sleeping",
        "Sleeping Mat",
        8_900,
        "Six centimetres of air between the back and the stones.",
        &[("weight", "510 g")],
        &WARMTH,
    ),
    family(
        "backpack-trail",
        "Trail Backpack",
        9_900,
        "Carries on the hips, sits close, and opens where one needs it.",
        &[("rain cover", "included")],
        &VOLUMES,
    ),
    family(
        "drybag-roll",
        "Roll-Top Dry Bag",
        1_900,
        "Three turns and a click; the lake stays outside.",
        &[("water", "IPX6")],
        &VOLUMES,
    ),
    family(
        "bottle-steel",
        "Steel Bottle",
        2_900,
        "Cold for a day, hot for twelve hours.",
        &[("volume", "0.75 l")],
        &COLOURS,
    ),
    family(
        "mug-enamel",
        "Enamel Mug",
        1_400,
        "Goes from fire to hand, and gets better with every chip.",
        &[("volume", "0.35 l")],
        &COLOURS,
    ),
    family(
        "jacket-rain",
        "Rain Jacket",
        14_900,
        "Three layers, taped seams, a hood that turns with the head.",
        &[("water column", "20000 mm")],
        &SIZES,
    ),
    family(
        "shirt-merino",
        "Merino Shirt",
        6_900,
        "Five days on the trail, and still welcome in the hut.",
        &[("material", "merino, 160 g/m²")],
        &SIZES,
    ),
    family(
        "headlamp-350",
        "Headlamp",
        4_400,
        "350 lumens ahead, a red light for the map.",
        &[("battery", "USB-C")],
        &SINGLE,
    ),
    family(
        "stove-gas",
        "Gas Stove",
        5_200,
        "Folds into a fist and boils half a litre in three minutes.",
        &[("weight", "83 g")],
        &SINGLE,
    ),
    family(
        "pot-titanium",
        "Titanium Pot",
        4_900,
        "Three quarters of a litre for a hundred grams.",
        &[("volume", "0.75 l")],
        &SINGLE,
    ),
    family(
        "compass-mirror",
        "Mirror Compass",
        5_600,
        "Finds north, and the bearing, and something in one's eye.",
        &[("declination", "adjustable")],
        &SINGLE,
    ),
    family(
        "first-aid-kit",
        "First Aid Kit",
        3_200,
        "What one hopes to carry in vain, in a waterproof pouch.",
        &[("pieces", "42")],
        &SINGLE,
    ),
];
