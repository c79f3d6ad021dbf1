//! The test payment methods: which token does what when a payment is confirmed with it.
//!
//! Stripe's own (<https://docs.stripe.com/testing>), so that a test also runs against Stripe's test mode, and two of
//! ours for what a network does: [`Behaviour::Slow`] and [`Behaviour::Lost`].

/// A payment method that the sandbox knows.
#[derive(Debug)]
pub(super) struct TestMethod {
    pub(super) token: &'static str,
    pub(super) brand: &'static str,
    pub(super) last4: &'static str,
    pub(super) behaviour: Behaviour,
}

/// What confirming with a method leads to.
#[derive(Debug)]
pub(super) enum Behaviour {
    /// Authorized at once.
    Approve,
    /// Authorized at once, and disputed by the cardholder as soon as it is captured.
    ApproveThenDispute(Dispute),
    /// Refused by the issuer.
    Decline(&'static Decline),
    /// The cardholder has to authenticate (3-D Secure) first.
    Authenticate,
    /// `processing` for a while, then authorized; the answer comes only then.
    Slow,
    /// Authorized at once, but the answer never arrives: the connection is cut.
    Lost,
}

/// How a cardholder disputes.
#[derive(Debug)]
pub(super) struct Dispute {
    /// <https://docs.stripe.com/disputes/categories>
    pub(super) reason: &'static str,
    /// Their bank only asks so far, and takes nothing back.
    pub(super) is_inquiry: bool,
}

/// How an issuer refuses, in the words of <https://docs.stripe.com/declines/codes>.
#[derive(Debug)]
pub(super) struct Decline {
    pub(super) code: &'static str,
    pub(super) decline_code: &'static str,
    pub(super) message: &'static str,
}

/// What a payment without the cardholder present gets for a method that asks for authentication.
pub(super) static AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    decline_code: "authentication_required",
    message: "Your card was declined. This transaction requires authentication.",
};

/// The method behind a token, if there is one.
pub(super) fn find(token: &str) -> Option<&'static TestMethod> {
    METHODS.iter().find(|method| method.token == token)
}

static METHODS: [TestMethod; 15] = [
    card("pm_card_visa", "visa", "4242", Behaviour::Approve),
    card("pm_card_visa_debit", "visa", "5556", Behaviour::Approve),
    card("pm_card_mastercard", "mastercard", "4444", Behaviour::Approve),
    card("pm_card_amex", "amex", "0005", Behaviour::Approve),
    card(
        "pm_card_chargeDeclined",
        "visa",
        "0002",
        Behaviour::Decline(&GENERIC_DECLINE),
    ),
    card(
        "pm_card_chargeDeclinedInsufficientFunds",
        "visa",
        "9995",
        Behaviour::Decline(&INSUFFICIENT_FUNDS),
    ),
    card(
        "pm_card_chargeDeclinedExpiredCard",
        "visa",
        "0069",
        Behaviour::Decline(&EXPIRED_CARD),
    ),
    card(
        "pm_card_chargeDeclinedProcessingError",
        "visa",
        "0119",
        Behaviour::Decline(&PROCESSING_ERROR),
    ),
    card(
        "pm_card_authenticationRequired",
        "visa",
        "3184",
        Behaviour::Authenticate,
    ),
    card("pm_card_threeDSecure2Required", "visa", "3220", Behaviour::Authenticate),
    card("pm_card_createDispute", "visa", "0259", disputes("fraudulent")),
    card(
        "pm_card_createDisputeProductNotReceived",
        "visa",
        "2685",
        disputes("product_not_received"),
    ),
    card(
        "pm_card_createDisputeInquiry",
        "visa",
        "1976",
        Behaviour::ApproveThenDispute(Dispute {
            reason: "fraudulent",
            is_inquiry: true,
        }),
    ),
    card("pm_slow", "visa", "4242", Behaviour::Slow),
    card("pm_lost", "visa", "4242", Behaviour::Lost),
];

const fn disputes(reason: &'static str) -> Behaviour {
    Behaviour::ApproveThenDispute(Dispute {
        reason,
        is_inquiry: false,
    })
}

const fn card(token: &'static str, brand: &'static str, last4: &'static str, behaviour: Behaviour) -> TestMethod {
    TestMethod {
        token,
        brand,
        last4,
        behaviour,
    }
}

static GENERIC_DECLINE: Decline = Decline {
    code: "card_declined",
    decline_code: "generic_decline",
    message: "Your card was declined.",
};
static INSUFFICIENT_FUNDS: Decline = Decline {
    code: "card_declined",
    decline_code: "insufficient_funds",
    message: "Your card has insufficient funds.",
};
static EXPIRED_CARD: Decline = Decline {
    code: "expired_card",
    decline_code: "expired_card",
    message: "Your card has expired.",
};
static PROCESSING_ERROR: Decline = Decline {
    code: "processing_error",
    decline_code: "processing_error",
    message: "An error occurred while processing your card. Try again in a little bit.",
};
