//! Cursors and money.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::Value;

use super::cut;
use crate::body::from_json;
use crate::cursor::{CursorKeys, InvalidCursor};
use crate::money::{Currency, Money, MoneyError};
use crate::quantity::Quantity;

/// A cursor, and after a line break its list's scope: nobody makes one up, one of ours opens to what was
/// sealed, and no longer once a byte of it, its list, or the key is another.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "what is sealed here can be")]
pub fn cursor(data: &[u8]) {
    let (sent, scope) = cut(data, b'\n');
    let (sent, scope) = (String::from_utf8_lossy(sent), String::from_utf8_lossy(scope));
    let keys = |setting: &str| CursorKeys::parse(&SecretString::from(setting)).unwrap();
    let (old, new) = ("a key of thirty-two letters or so", "another one of thirty-two letters");
    let (ours, later, theirs) = (keys(old), keys(&format!("{new}x,{old}")), keys(new));
    assert_eq!(ours.open::<Value>(&scope, &sent), Err(InvalidCursor));

    let sealed = ours.seal(&scope, &sent).unwrap();
    let opened = |keys: &CursorKeys, scope: &str, cursor: &str| keys.open::<String>(scope, cursor);
    if sealed.len() > 2048 {
        assert_eq!(opened(&ours, &scope, &sealed), Err(InvalidCursor));
        return;
    }
    assert_eq!(opened(&ours, &scope, &sealed).as_deref(), Ok(&*sent));
    assert_eq!(opened(&later, &scope, &sealed).as_deref(), Ok(&*sent));
    assert_eq!(opened(&theirs, &scope, &sealed), Err(InvalidCursor));
    assert_eq!(opened(&ours, &format!("{scope}&"), &sealed), Err(InvalidCursor));
    assert_eq!(opened(&ours, &scope, &format!("{sealed}A")), Err(InvalidCursor));
    let mut altered = BASE64_URL_SAFE_NO_PAD.decode(&sealed).unwrap();
    let at = data.iter().map(|byte| usize::from(*byte)).sum::<usize>() % altered.len();
    if let Some(byte) = altered.get_mut(at) {
        *byte ^= 1;
    }
    let altered = BASE64_URL_SAFE_NO_PAD.encode(altered);
    assert_eq!(opened(&ours, &scope, &altered), Err(InvalidCursor));
}

/// Two amounts, a currency for each, and a quantity, cut out of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Amounts {
    /// The first.
    pub a: Money,
    /// The second, often of the same currency.
    pub b: Money,
    /// How many of one.
    pub quantity: Quantity,
}

impl Amounts {
    /// `None`: too few bytes, or their letters name no currency.
    #[must_use]
    pub fn cut(data: &[u8]) -> Option<Self> {
        let (a, rest) = data.split_first_chunk()?;
        let (b, rest) = rest.split_first_chunk()?;
        let (n, codes) = rest.split_first_chunk()?;
        let code = |at: usize| {
            codes
                .get(at..at + 3)
                .and_then(|code| str::from_utf8(code).ok()?.parse().ok())
        };
        let first: Currency = code(0)?;
        Some(Self {
            a: Money::new(i64::from_le_bytes(*a), first),
            b: Money::new(i64::from_le_bytes(*b), code(3).unwrap_or(first)),
            quantity: Quantity::try_from(i64::from(u16::from_le_bytes(*n)) % 999 + 1).ok()?,
        })
    }
}

/// An amount as JSON, or two as bytes ([`Amounts::cut`]): what is read is written and read as the same,
/// both readers agree, every result is exact or an error, and what people see tells the amount.
///
/// # Panics
/// That does not hold.
#[expect(clippy::unwrap_used, reason = "what was read can be written")]
pub fn money(data: &[u8]) {
    if let Ok(read) = from_json::<Money>(data) {
        assert_eq!(serde_json::from_slice::<Money>(data).unwrap(), read);
        assert_eq!(from_json::<Money>(&serde_json::to_vec(&read).unwrap()), Ok(read));
        shown(read);
    }
    let Some(Amounts { a, b, quantity }) = Amounts::cut(data) else {
        return;
    };
    shown(a);
    let (wide_a, wide_b) = (i128::from(a.amount_minor), i128::from(b.amount_minor));
    let of_both = |exact| match (a.currency == b.currency, i64::try_from(exact)) {
        (true, Ok(fits)) => Ok(Money::new(fits, a.currency)),
        (true, Err(_)) => Err(MoneyError::Overflow),
        (false, _) => Err(MoneyError::CurrencyMismatch {
            left: a.currency,
            right: b.currency,
        }),
    };
    assert_eq!(a.checked_add(b), of_both(wide_a + wide_b));
    assert_eq!(a.checked_sub(b), of_both(wide_a - wide_b));
    let many = i64::try_from(wide_a * i128::from(quantity.get()));
    let many = many.map(|minor| Money::new(minor, a.currency));
    assert_eq!(a.checked_mul(quantity).ok(), many.ok());
    assert_eq!(Money::sum(a.currency, [a, b]), a.checked_add(b));
}

/// "-0.05 USD" is minus five of the minor unit.
#[expect(
    clippy::unwrap_used,
    reason = "a text without a code or with other digits is the fault looked for"
)]
fn shown(money: Money) {
    let text = money.to_string();
    let (amount, code) = text.rsplit_once(' ').unwrap();
    assert_eq!(code.parse(), Ok(money.currency));
    let decimals = amount.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    assert_eq!(decimals, usize::from(money.currency.decimals()), "{text}");
    let minor: i128 = amount.replace('.', "").parse().unwrap();
    assert_eq!(minor, i128::from(money.amount_minor), "{text}");
}
