//! For long evenings.

use super::family::{Family, SINGLE, Variants, family, variant, variants};

static PIECES: Variants = variants(
    "pieces",
    &[
        variant("500", "500 pieces", 0),
        variant("1000", "1000 pieces", 500),
        variant("2000", "2000 pieces", 1_500),
    ],
);
static DICE: Variants = variants(
    "colour",
    &[
        variant("ruby", "ruby", 0),
        variant("jade", "jade", 0),
        variant("amber", "amber", 0),
        variant("onyx", "onyx", 0),
    ],
);
static EDITIONS: Variants = variants(
    "edition",
    &[
        variant("base", "base game", 0),
        variant("deluxe", "deluxe edition", 2_500),
    ],
);
static WOODS: Variants = variants(
    "wood",
    &[variant("maple", "maple", 0), variant("walnut", "walnut", 3_500)],
);

pub(super) static FAMILIES: [Family; 18] = [
    family(
        "game-harbor-lights",
        "Harbor Lights",
        4_500,
        "Run a lighthouse, outbid the fog. Auctions and a little mischief.",
        &[("players", "2-5"), ("minutes", "75")],
        &EDITIONS,
    ),
    family(
        "game-terrace",
        "Terrace",
        3_900,
        "Vines, walls and water on a hillside that is never big enough.",
        &[("players", "2-4"), ("minutes", "60")],
        &EDITIONS,
    ),
    family(
        "game-night-train",
        "Night Train",
        4_900,
        "A cooperative escape across a sleeping continent.",
        &[("players", "1-4"), ("minutes", "90")],
        &EDITIONS,
    ),
    family(
        "game-mycelium",
        "Mycelium",
        3_400,
        "Spread underground, and surface at the right moment.",
        &[("players", "2-4"), ("minutes", "45")],
        &EDITIONS,
    ),
    family(
        "game-cartographers-guild",
        "The Cartographers' Guild",
        3_600,
        "Draw the map that all the others have to walk on.",
        &[("players", "1-6"), ("minutes", "40")],
        &EDITIONS,
    ),
    family(
        "game-signal-and-noise",
        "Signal and Noise",
        2_800,
        "Two teams, one code, and far too many hints.",
        &[("players", "4-8"), ("minutes", "30")],
        &EDITIONS,
    ),
    family(
        "puzzle-alpine-lake",
        "Puzzle Alpine Lake",
        1_800,
        "A lake, a mountain, and six hundred shades of blue.",
        &[("artist", "Lena Graf")],
        &PIECES,
    ),
    family(
        "puzzle-market-hall",
        "Puzzle Market Hall",
        1_800,
        "Something to find in every piece.",
        &[("artist", "Tomás Rey")],
        &PIECES,
    ),
    family(
        "puzzle-star-chart",
        "Puzzle Star Chart",
        1_900,
        "The northern sky after an engraving of 1742.",
        &[("artist", "after Doppelmayr")],
        &PIECES,
    ),
    family(
        "dice-resin",
        "Dice Set, seven pieces",
        1_400,
        "Sharp-edged resin with inked numbers; fair on the water test.",
        &[("pieces", "7")],
        &DICE,
    ),
    family(
        "dice-metal",
        "Metal Dice Set, seven pieces",
        3_200,
        "They land with conviction. Felt bag included.",
        &[("pieces", "7"), ("material", "zinc alloy")],
        &DICE,
    ),
    family(
        "chess-set",
        "Chess Set",
        6_900,
        "Weighted Staunton pieces, felted, on a folding board.",
        &[("king", "95 mm")],
        &WOODS,
    ),
    family(
        "backgammon-set",
        "Backgammon Set",
        7_900,
        "Inlaid points, quiet cork field, leather cups.",
        &[("size", "48 x 30 cm")],
        &WOODS,
    ),
    family(
        "go-set",
        "Go Set",
        8_900,
        "A 19 by 19 board and 361 stones of melamine.",
        &[("board", "19 x 19")],
        &WOODS,
    ),
    family(
        "cards-playing",
        "Playing Cards",
        900,
        "Linen finish, French faces, made to be shuffled.",
        &[("cards", "54")],
        &SINGLE,
    ),
    family(
        "cards-tarock",
        "Tarock Cards",
        1_300,
        "Fifty-four cards for the game of the coffee houses.",
        &[("cards", "54")],
        &SINGLE,
    ),
    family(
        "sleeves-card",
        "Card Sleeves",
        600,
        "Matt back, clear front, standard size.",
        &[("pieces", "100")],
        &SINGLE,
    ),
    family(
        "timer-sand",
        "Sand Timer Trio",
        1_500,
        "One, three and five minutes, told apart by colour.",
        &[("pieces", "3")],
        &SINGLE,
    ),
];
