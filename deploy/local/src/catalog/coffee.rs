//! Coffee by origin and pack, and what goes with it.

use super::family::{Family, SINGLE, Variants, family, variant, variants};

static PACKS: Variants = variants(
    "weight",
    &[
        variant("250g", "250 g", 0),
        variant("500g", "500 g", 1_150),
        variant("1kg", "1 kg", 3_200),
    ],
);

pub(super) static FAMILIES: [Family; 15] = [
    origin(
        "coffee-ethiopia",
        "Ethiopia Yirgacheffe",
        1_450,
        "Washed heirloom lots from 1,950 m: jasmine, bergamot, apricot.",
        &[("origin", "Ethiopia"), ("roast", "light")],
    ),
    origin(
        "coffee-kenya",
        "Kenya Nyeri AA",
        1_650,
        "Blackcurrant and grapefruit, juicy to the last sip. Washed twice, as is the custom there.",
        &[("origin", "Kenya"), ("roast", "light")],
    ),
    origin(
        "coffee-rwanda",
        "Rwanda Lake Kivu",
        1_490,
        "Red bourbon from small farms around the lake: orange, caramel, black tea.",
        &[("origin", "Rwanda"), ("roast", "medium-light")],
    ),
    origin(
        "coffee-colombia",
        "Colombia Huila",
        1_350,
        "Round and sweet, with red apple and panela. At home in any brewer.",
        &[("origin", "Colombia"), ("roast", "medium")],
    ),
    origin(
        "coffee-guatemala",
        "Guatemala Antigua",
        1_390,
        "Grown in volcanic soil: dark chocolate, almond and a hint of plum.",
        &[("origin", "Guatemala"), ("roast", "medium")],
    ),
    origin(
        "coffee-costa-rica",
        "Costa Rica Tarrazú",
        1_520,
        "Honey processed, with honey in the cup too; mandarin and vanilla.",
        &[("origin", "Costa Rica"), ("roast", "medium")],
    ),
    origin(
        "coffee-brazil",
        "Brazil Cerrado",
        1_190,
        "Natural processed on sun-dried patios: hazelnut, cocoa, hardly any acidity.",
        &[("origin", "Brazil"), ("roast", "medium-dark")],
    ),
    origin(
        "coffee-peru",
        "Peru Cajamarca",
        1_290,
        "From a cooperative of 300 families. Milk chocolate and ripe pear.",
        &[("origin", "Peru"), ("roast", "medium"), ("organic", "yes")],
    ),
    origin(
        "coffee-sumatra",
        "Sumatra Mandheling",
        1_420,
        "Wet hulled, full of body: cedar, dark cocoa and warm spice.",
        &[("origin", "Indonesia"), ("roast", "dark")],
    ),
    origin(
        "coffee-india",
        "India Monsooned Malabar",
        1_340,
        "Mellowed by the monsoon winds; low acidity and a thick crema.",
        &[("origin", "India"), ("roast", "dark")],
    ),
    origin(
        "coffee-house-espresso",
        "House Espresso",
        1_250,
        "Our blend for milk drinks: Brazil for body, Ethiopia for a spark of fruit.",
        &[("blend", "yes"), ("roast", "medium-dark")],
    ),
    origin(
        "coffee-decaf",
        "Decaf Swiss Water",
        1_390,
        "Decaffeinated with water alone, and none of the sweetness lost.",
        &[("decaffeinated", "yes"), ("roast", "medium")],
    ),
    family(
        "coffee-subscription-card",
        "Coffee Gift Card, three months",
        4_900,
        "A fresh bag a month for a quarter of a year, chosen by our roaster.",
        &[("bags", "3")],
        &SINGLE,
    ),
    family(
        "coffee-filters-v60",
        "Paper Filters for V60",
        790,
        "Oxygen-bleached paper that tastes of nothing. For one to four cups.",
        &[("pieces", "100")],
        &SINGLE,
    ),
    family(
        "coffee-scale-timer",
        "Coffee Scale with Timer",
        5_900,
        "Weighs to a tenth of a gram, counts the seconds, and minds no splash.",
        &[("precision", "0.1 g"), ("charging", "USB-C")],
        &SINGLE,
    ),
];

const fn origin(
    sku: &'static str,
    name: &'static str,
    price: i64,
    text: &'static str,
    attributes: &'static [(&'static str, &'static str)],
) -> Family {
    family(sku, name, price, text, attributes, &PACKS)
}
