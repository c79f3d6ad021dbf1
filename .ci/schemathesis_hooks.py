"""What the OpenAPI documents have no words for, told to Schemathesis: requests that it takes for right by the document are
made right by these rules as well, so that refusing them is a fault. Those that it makes wrong on purpose stay as they are."""

import json
import os
import shlex
import subprocess

import schemathesis
from schemathesis import GenerationMode

CURRENCY, COUNTRY = "USD", "DE"
STOCK = 1_000_000_000
# A product that there is, with enough in stock for all that is bought here.
PRODUCT = os.environ["PRODUCT"]


CHECK_OUT = "POST /v1/baskets/{basket_id}/checkout"
READ_CHECKOUT = "GET /v1/baskets/{basket_id}/checkouts/{order_id}"
MERGE = "POST /v1/baskets/{basket_id}/merge"
CUSTOMERS = {CHECK_OUT, READ_CHECKOUT, MERGE}

# Prints a token of whoever may do most.
TOKEN_COMMAND = shlex.split(os.environ["TOKEN_COMMAND"])
# A token lasts for an hour; a run may take longer.
RENEWED_AFTER_S = 30 * 60


def secured(context):
    requirements = context.operation.definition.raw.get("security", [])
    return any("bearerAuth" in requirement for requirement in requirements)


@schemathesis.auth(refresh_interval=RENEWED_AFTER_S).apply_to(secured)
class Token:
    def get(self, case, context):
        return subprocess.run(TOKEN_COMMAND, check=True, capture_output=True, text=True).stdout.strip()

    def set(self, case, token, context):
        case.headers["Authorization"] = f"Bearer {token}"


def named(value, name):
    """Each object in `value` that has a member of that name."""
    if isinstance(value, dict):
        if name in value:
            yield value
        for member in value.values():
            yield from named(member, name)
    elif isinstance(value, list):
        for item in value:
            yield from named(item, name)


def whole(value):
    """1.0 is an integer to JSON Schema; here amounts and quantities are written as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value


def body(value):
    # Which of the codes of ISO 4217 the shop has, and which of the pairs of letters are codes of ISO 3166.
    for amount in named(value, "currency"):
        amount["currency"] = CURRENCY
    for address in named(value, "country"):
        address["country"] = COUNTRY
    # Any other may be asked for, but leads to nothing that could be looked at further. Several lines of one product are
    # one line, which has its limit.
    for line in list(named(value, "product_id"))[:1]:
        line["product_id"] = PRODUCT
    # A change of nothing is none, and stock has a limit.
    for change in named(value, "delta"):
        change["delta"] = max(-STOCK, min(STOCK, whole(change["delta"]))) or 1
    return whole(value)


def query(label, sent):
    # A cursor is one that was given out; links between requests bring such ones, but for the list that they belong to.
    sent.pop("cursor", None)
    if label == "GET /v1/products":
        # Parameters that go together, or do not.
        if "ids" in sent:
            sent["ids"] = PRODUCT
            for name in ("category", "in_stock", "sort", "limit"):
                sent.pop(name, None)
        elif "category" not in sent:
            sent.pop("sort", None)
            sent.pop("in_stock", None)
        elif str(sent.get("in_stock")).lower() == "true":
            sent.pop("sort", None)
    if label == "GET /v1/orders":
        # Exactly one of the two.
        if "status" in sent:
            sent.pop("customer_id", None)
        else:
            sent.setdefault("customer_id", "me")
    return sent


# The newest guest's basket, checkout and order that there are, for those who need one.
given = {}


@schemathesis.hook
def after_call(context, case, response):
    if case.operation.label == "POST /v1/baskets" and response.status_code == 201:
        given["basket"] = response.json()["id"]
    if case.operation.label == CHECK_OUT and response.status_code == 202:
        given["checkout"] = response.json()["order_id"]
    if case.operation.label == "POST /v1/orders" and response.status_code == 201:
        given["order"] = response.json()["id"]


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if isinstance(case.body, (dict, list)):
        case.body = body(json.loads(json.dumps(case.body)))
    case.query = query(case.operation.label, dict(case.query or {}))
    path = case.path_parameters or {}
    # One's own basket, but where another request has given a guest's out, which is of no use to those who are customers'.
    if case.operation.label in CUSTOMERS or not str(path.get("basket_id", "g_")).startswith("g_"):
        path["basket_id"] = "me"
    if case.operation.label == MERGE and isinstance(case.body, dict):
        case.body["from"] = given.get("basket", case.body["from"])
    if case.operation.label == READ_CHECKOUT:
        path["order_id"] = given.get("checkout", path["order_id"])
    if " /v1/orders/{id}" in case.operation.label:
        path["id"] = given.get("order", path["id"])


@schemathesis.serializer("application/x-ndjson")
def rows(context, value):
    lines = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@schemathesis.deserializer("application/x-ndjson")
def first_row(context, response):
    """The document describes a line; the first one stands for all."""
    return json.loads(response.content.splitlines()[0])
