//! Seeds, pots and tools.

use super::family::{Family, SINGLE, Variants, family, variant, variants};

static SEEDS: Variants = variants(
    "pack",
    &[variant("packet", "packet", 0), variant("bulk", "bulk, 50 g", 1_400)],
);
static POTS: Variants = variants(
    "diameter",
    &[
        variant("12cm", "12 cm", 0),
        variant("18cm", "18 cm", 500),
        variant("24cm", "24 cm", 1_100),
        variant("32cm", "32 cm", 2_200),
    ],
);
static CANS: Variants = variants(
    "colour",
    &[
        variant("zinc", "zinc", 0),
        variant("green", "green", 300),
        variant("cream", "cream", 300),
    ],
);
static GLOVES: Variants = variants(
    "size",
    &[variant("s", "S", 0), variant("m", "M", 0), variant("l", "L", 0)],
);

pub(super) static FAMILIES: [Family; 17] = [
    seeds(
        "seeds-tomato-brandywine",
        "Tomato Brandywine Seeds",
        390,
        "Large, pink and late; the taste is worth the wait.",
        &[("sow", "March"), ("harvest", "August")],
    ),
    seeds(
        "seeds-basil-genovese",
        "Basil Genovese Seeds",
        290,
        "The one for pesto. Likes it warm and hates wet feet.",
        &[("sow", "April"), ("harvest", "June")],
    ),
    seeds(
        "seeds-chili-jalapeno",
        "Chili Jalapeño Seeds",
        350,
        "Medium heat, generous crop, happy in a pot.",
        &[("sow", "February"), ("harvest", "August")],
    ),
    seeds(
        "seeds-carrot-nantes",
        "Carrot Nantes Seeds",
        290,
        "Sweet, blunt and crisp; for loose soil.",
        &[("sow", "March"), ("harvest", "July")],
    ),
    seeds(
        "seeds-bean-borlotti",
        "Borlotti Bean Seeds",
        340,
        "Red-speckled climbers, for the eye first and the soup after.",
        &[("sow", "May"), ("harvest", "September")],
    ),
    seeds(
        "seeds-lettuce-mix",
        "Cut-and-Come Lettuce Seeds",
        290,
        "Five kinds that grow again after every cut.",
        &[("sow", "March"), ("harvest", "May")],
    ),
    seeds(
        "seeds-sunflower-velvet",
        "Sunflower Velvet Queen Seeds",
        320,
        "Two metres of dark red for the back of the bed.",
        &[("sow", "April"), ("harvest", "August")],
    ),
    seeds(
        "seeds-wildflower",
        "Wildflower Meadow Seeds",
        450,
        "Thirty native kinds for bees and lazy gardeners.",
        &[("sow", "April"), ("area", "10 m²")],
    ),
    family(
        "pot-terracotta",
        "Terracotta Pot",
        600,
        "Frost-proof clay from Impruneta, with a hole and a saucer.",
        &[("material", "terracotta")],
        &POTS,
    ),
    family(
        "pot-glazed",
        "Glazed Planter",
        900,
        "Celadon glaze that looks like the sea on a grey day.",
        &[("material", "stoneware")],
        &POTS,
    ),
    family(
        "watering-can",
        "Watering Can",
        3_400,
        "Long neck, brass rose, eight litres, no drips.",
        &[("volume", "8 l")],
        &CANS,
    ),
    family(
        "gloves-goatskin",
        "Goatskin Garden Gloves",
        2_600,
        "Thorns stay outside, the feel for seedlings inside.",
        &[("material", "goatskin")],
        &GLOVES,
    ),
    family(
        "secateurs-bypass",
        "Bypass Secateurs",
        4_800,
        "Forged, sprung and every part replaceable.",
        &[("cut", "25 mm")],
        &SINGLE,
    ),
    family(
        "trowel-ash",
        "Hand Trowel",
        1_900,
        "Stainless blade with depth marks, handle of ash.",
        &[("length", "30 cm")],
        &SINGLE,
    ),
    family(
        "dibber-ash",
        "Dibber",
        1_200,
        "Makes the hole the right depth, every time.",
        &[("length", "25 cm")],
        &SINGLE,
    ),
    family(
        "twine-jute",
        "Jute Twine",
        700,
        "Soft on stems, and the compost takes it back.",
        &[("length", "120 m")],
        &SINGLE,
    ),
    family(
        "cold-frame-larch",
        "Larch Cold Frame",
        18_900,
        "Two lids of polycarbonate; spring begins six weeks early. Built to order.",
        &[("size", "120 x 80 cm"), ("lead time", "2 weeks")],
        &SINGLE,
    )
    .accepted_by_hand(),
];

const fn seeds(
    sku: &'static str,
    name: &'static str,
    price: i64,
    text: &'static str,
    attributes: &'static [(&'static str, &'static str)],
) -> Family {
    family(sku, name, price, text, attributes, &SEEDS)
}
