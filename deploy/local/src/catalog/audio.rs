//! For the ears.

use super::family::{Family, SINGLE, Variants, family, variant, variants};

static COLOURS: Variants = variants(
    "colour",
    &[
        variant("black", "black", 0),
        variant("silver", "silver", 0),
        variant("navy", "navy", 0),
        variant("sand", "sand", 0),
    ],
);
static CABINETS: Variants = variants(
    "cabinet",
    &[
        variant("black", "black ash", 0),
        variant("white", "white", 0),
        variant("walnut", "walnut", 4_000),
    ],
);
static LENGTHS: Variants = variants(
    "length",
    &[
        variant("1m", "1 m", 0),
        variant("2m", "2 m", 500),
        variant("5m", "5 m", 1_500),
    ],
);

pub(super) static FAMILIES: [Family; 14] = [
    family(
        "headphones-over-ear",
        "Over-Ear Headphones",
        17_900,
        "Closed, light and honest, with 40 hours in the battery.",
        &[("battery", "40 h"), ("noise cancelling", "yes")],
        &COLOURS,
    ),
    family(
        "headphones-on-ear",
        "On-Ear Headphones",
        8_900,
        "Fold flat, play loud, cost little.",
        &[("battery", "30 h")],
        &COLOURS,
    ),
    family(
        "earbuds-wireless",
        "Wireless Earbuds",
        11_900,
        "Small enough to forget, in a case that charges them four times.",
        &[("battery", "7 h"), ("water", "IPX4")],
        &COLOURS,
    ),
    family(
        "speaker-portable",
        "Portable Speaker",
        9_900,
        "Round sound in all directions; floats, if it must.",
        &[("battery", "16 h"), ("water", "IP67")],
        &COLOURS,
    ),
    family(
        "speaker-bookshelf",
        "Bookshelf Speakers, pair",
        34_900,
        "A five-inch woofer, a silk dome, and no trace of a box.",
        &[("impedance", "6 ohm"), ("power", "80 W")],
        &CABINETS,
    ),
    family(
        "speaker-centre",
        "Centre Speaker",
        21_900,
        "Makes dialogue intelligible again.",
        &[("impedance", "6 ohm")],
        &CABINETS,
    ),
    family(
        "turntable-belt",
        "Belt-Drive Turntable",
        39_900,
        "Carbon arm, cartridge fitted and aligned by hand, after the order.",
        &[("speeds", "33/45"), ("phono stage", "built in")],
        &CABINETS,
    )
    .accepted_by_hand(),
    family(
        "cable-speaker",
        "Speaker Cable, pair",
        1_900,
        "Oxygen-free copper with gold plugs on both ends.",
        &[("cross-section", "2.5 mm²")],
        &LENGTHS,
    ),
    family(
        "cable-rca",
        "RCA Cable",
        1_200,
        "Shielded twice, for the quiet between the notes.",
        &[("plugs", "gold-plated")],
        &LENGTHS,
    ),
    family(
        "cable-optical",
        "Optical Cable",
        900,
        "Toslink in a woven sleeve.",
        &[("plugs", "Toslink")],
        &LENGTHS,
    ),
    family(
        "amp-headphone",
        "Headphone Amplifier",
        15_900,
        "Drives what a phone cannot, and hides behind a book.",
        &[("output", "6.3 mm")],
        &SINGLE,
    ),
    family(
        "dac-usb",
        "USB Converter",
        12_900,
        "From any USB port to line level, without a power supply.",
        &[("resolution", "24 bit / 192 kHz")],
        &SINGLE,
    ),
    family(
        "brush-record",
        "Record Brush",
        1_800,
        "A million carbon fibres against the dust of decades.",
        &[("bristles", "carbon fibre")],
        &SINGLE,
    ),
    family(
        "sleeves-record",
        "Record Sleeves",
        1_500,
        "Lined paper that neither scratches nor clings.",
        &[("pieces", "50")],
        &SINGLE,
    ),
];
