//! For the desk and around it.

use super::family::{Family, SINGLE, Variants, family, variant, variants};

static RULINGS: Variants = variants(
    "ruling",
    &[
        variant("dotted", "dotted", 0),
        variant("ruled", "ruled", 0),
        variant("blank", "blank", 0),
    ],
);
static INKS: Variants = variants(
    "ink",
    &[
        variant("black", "black", 0),
        variant("blue", "blue", 0),
        variant("green", "green", 0),
        variant("red", "red", 0),
    ],
);
static FINISHES: Variants = variants(
    "colour",
    &[
        variant("white", "white", 0),
        variant("black", "black", 0),
        variant("sage", "sage", 400),
    ],
);
static FELTS: Variants = variants(
    "colour",
    &[
        variant("grey", "light grey", 0),
        variant("anthracite", "anthracite", 0),
        variant("camel", "camel", 0),
    ],
);
static WOODS: Variants = variants("wood", &[variant("oak", "oak", 0), variant("walnut", "walnut", 1_500)]);
static CABLES: Variants = variants(
    "length",
    &[
        variant("1m", "1 m", 0),
        variant("2m", "2 m", 400),
        variant("3m", "3 m", 900),
    ],
);

pub(super) static FAMILIES: [Family; 16] = [
    family(
        "notebook-a5",
        "Notebook A5",
        1_400,
        "Thread-bound, lies flat, 160 pages that ink does not bleed through.",
        &[("pages", "160"), ("paper", "100 g/m²")],
        &RULINGS,
    ),
    family(
        "notebook-a6",
        "Pocket Notebook A6, set of three",
        1_200,
        "Survives a back pocket for a month each.",
        &[("pages", "3 x 64")],
        &RULINGS,
    ),
    family(
        "pen-gel",
        "Gel Pen 0.5",
        350,
        "Dries before the hand gets there.",
        &[("tip", "0.5 mm")],
        &INKS,
    ),
    family(
        "pen-fineliner",
        "Fineliner 0.3",
        420,
        "Pigment ink: waterproof, lightfast, steady.",
        &[("tip", "0.3 mm")],
        &INKS,
    ),
    family(
        "ink-bottle",
        "Fountain Pen Ink, 50 ml",
        1_600,
        "Well-behaved ink with a little shading.",
        &[("volume", "50 ml")],
        &INKS,
    ),
    family(
        "lamp-desk",
        "Desk Lamp",
        8_900,
        "Warm to cold by a turn of the head; the arm stays where it is put.",
        &[("power", "9 W"), ("colour temperature", "2700-5000 K")],
        &FINISHES,
    ),
    family(
        "tray-letter",
        "Letter Tray",
        2_400,
        "Bent from one sheet of steel. Stacks.",
        &[("format", "A4")],
        &FINISHES,
    ),
    family(
        "mat-desk-felt",
        "Felt Desk Mat",
        3_600,
        "Wool felt with a cork back: quiet, warm, flat.",
        &[("size", "80 x 35 cm")],
        &FELTS,
    ),
    family(
        "sleeve-laptop",
        "Felt Laptop Sleeve 14\"",
        4_200,
        "Five millimetres of wool and a strap of leather.",
        &[("fits", "14 inch")],
        &FELTS,
    ),
    family(
        "stand-laptop",
        "Laptop Stand",
        5_400,
        "Lifts the screen to the eyes and folds to nothing.",
        &[("load", "10 kg")],
        &WOODS,
    ),
    family(
        "organiser-desk",
        "Desk Organiser",
        3_900,
        "Five pens, a phone, a stack of cards, and an end to the mess.",
        &[("size", "24 x 10 cm")],
        &WOODS,
    ),
    family(
        "cable-usb-c",
        "USB-C Cable",
        1_500,
        "Braided, 100 W, and rated for ten thousand bends.",
        &[("power", "100 W")],
        &CABLES,
    ),
    family(
        "pen-fountain",
        "Fountain Pen",
        6_800,
        "A steel nib that learns the hand. Converter included.",
        &[("nib", "M")],
        &SINGLE,
    ),
    family(
        "stapler-steel",
        "Long-Life Stapler",
        2_800,
        "Thirty sheets a stroke, no jams, five years' warranty.",
        &[("capacity", "30 sheets")],
        &SINGLE,
    ),
    family(
        "calendar-wall",
        "Wall Calendar",
        1_900,
        "A year on one sheet, printed in two colours.",
        &[("format", "50 x 70 cm")],
        &SINGLE,
    ),
    family(
        "chair-task",
        "Task Chair",
        46_900,
        "Adjusts in eleven ways and needs none of them after the first day. Assembled to order.",
        &[("load", "130 kg"), ("warranty", "10 years")],
        &FINISHES,
    )
    .accepted_by_hand(),
];
