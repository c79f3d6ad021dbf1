//! What stands on the table and on the stove.

use super::family::{Family, SINGLE, Variants, family, variant, variants};

static GLAZES: Variants = variants(
    "colour",
    &[
        variant("blue", "blue", 0),
        variant("sand", "sand", 0),
        variant("moss", "moss green", 0),
        variant("charcoal", "charcoal", 0),
        variant("white", "white", -200),
    ],
);
static METALS: Variants = variants(
    "finish",
    &[
        variant("steel", "brushed steel", 0),
        variant("black", "matt black", 500),
        variant("copper", "copper", 2_000),
    ],
);
static GRINDERS: Variants = variants(
    "body",
    &[variant("steel", "steel", 0), variant("walnut", "walnut", 1_500)],
);
static PANS: Variants = variants(
    "diameter",
    &[
        variant("20cm", "20 cm", 0),
        variant("26cm", "26 cm", 1_500),
        variant("30cm", "30 cm", 3_000),
    ],
);
static WOODS: Variants = variants(
    "wood",
    &[
        variant("beech", "beech", 0),
        variant("oak", "oak", 1_000),
        variant("walnut", "walnut", 2_600),
    ],
);
static BLADES: Variants = variants(
    "blade",
    &[
        variant("paring", "paring, 9 cm", 0),
        variant("bread", "bread, 21 cm", 3_200),
        variant("chef", "chef's, 20 cm", 4_500),
    ],
);
static LINENS: Variants = variants(
    "colour",
    &[
        variant("natural", "natural", 0),
        variant("navy", "navy", 0),
        variant("rust", "rust", 0),
    ],
);
static PRESSES: Variants = variants(
    "volume",
    &[
        variant("350ml", "350 ml", 0),
        variant("600ml", "600 ml", 700),
        variant("1l", "1 l", 1_400),
    ],
);

pub(super) static FAMILIES: [Family; 15] = [
    family(
        "mug-stoneware",
        "Stoneware Mug",
        1_800,
        "Thrown and glazed by hand; holds 300 ml and keeps them warm.",
        &[("volume", "300 ml"), ("dishwasher", "yes")],
        &GLAZES,
    ),
    family(
        "bowl-stoneware",
        "Stoneware Bowl",
        2_200,
        "Deep enough for ramen, handsome enough for fruit.",
        &[("diameter", "17 cm"), ("dishwasher", "yes")],
        &GLAZES,
    ),
    family(
        "plate-stoneware",
        "Stoneware Plate",
        2_400,
        "A dinner plate with a low rim; no two are quite alike.",
        &[("diameter", "27 cm"), ("dishwasher", "yes")],
        &GLAZES,
    ),
    family(
        "kettle-gooseneck",
        "Gooseneck Kettle",
        7_900,
        "Pours as thin as a thread. Holds its temperature to the degree for an hour.",
        &[("volume", "0.9 l"), ("power", "1200 W")],
        &METALS,
    ),
    family(
        "grinder-hand",
        "Hand Grinder",
        8_900,
        "Conical steel burrs, 40 clicks, 25 g of coffee in under a minute.",
        &[("burrs", "38 mm steel"), ("capacity", "25 g")],
        &GRINDERS,
    ),
    family(
        "press-french",
        "French Press",
        2_900,
        "Double-walled glass and a plunger that seals. Four minutes, no paper.",
        &[("glass", "borosilicate")],
        &PRESSES,
    ),
    family(
        "pan-cast-iron",
        "Cast Iron Skillet",
        3_900,
        "Seasoned with linseed oil and ready for the fire; will outlive its owner.",
        &[("induction", "yes")],
        &PANS,
    ),
    family(
        "pan-carbon-steel",
        "Carbon Steel Pan",
        4_400,
        "Half the weight of iron, all of the sear.",
        &[("induction", "yes")],
        &PANS,
    ),
    family(
        "board-cutting",
        "Cutting Board",
        3_400,
        "End grain that is kind to knives, oiled, with a groove for the juice.",
        &[("size", "40 x 28 cm")],
        &WOODS,
    ),
    family(
        "knife-forged",
        "Forged Kitchen Knife",
        4_500,
        "One piece of Solingen steel, ground thin, balanced at the finger.",
        &[("steel", "X50CrMoV15")],
        &BLADES,
    ),
    family(
        "apron-linen",
        "Linen Apron",
        3_900,
        "Heavy washed linen, crossed straps, a pocket for the towel.",
        &[("material", "linen")],
        &LINENS,
    ),
    family(
        "towel-linen",
        "Linen Kitchen Towels, pair",
        2_400,
        "Dry without lint from the first day, and better after every wash.",
        &[("pieces", "2"), ("size", "50 x 70 cm")],
        &LINENS,
    ),
    family(
        "scale-kitchen",
        "Kitchen Scale",
        2_900,
        "Glass, flat, to the gram, up to 5 kg.",
        &[("capacity", "5 kg")],
        &SINGLE,
    ),
    family(
        "mortar-granite",
        "Granite Mortar",
        3_600,
        "Heavy enough to stay put while the pesto gives in.",
        &[("weight", "3.2 kg")],
        &SINGLE,
    ),
    family(
        "mill-pepper",
        "Pepper Mill",
        4_200,
        "A ceramic grinder from coarse to dust, in turned beech.",
        &[("height", "18 cm")],
        &SINGLE,
    ),
];
