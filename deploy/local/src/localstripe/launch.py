"""Runs localstripe on a free port of 127.0.0.1, says which, and ends with standard input, as ministack/launch.py does.

What it does beside localstripe's own start:

- That listens on every address, and keeps what it knows in a file in /tmp which all its processes share. This one
  listens on loopback, and keeps nothing.
- localstripe has not implemented a confirmation that names its payment method. That much is done here, as its update of
  a payment does it; what the confirmation then comes to is localstripe's.
"""

import os
import socket
import threading


def end_with_starter() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


threading.Thread(target=end_with_starter, daemon=True).start()

from aiohttp import web  # noqa: E402
from localstripe import resources  # noqa: E402
from localstripe.errors import UserError  # noqa: E402

resources.store.dump_to_disk = lambda: None

plain_confirm = resources.PaymentIntent._api_confirm


def confirm(id, payment_method=None, **others):
    if payment_method is not None:
        intent = resources.PaymentIntent._api_retrieve(id)
        if intent.status not in ("requires_payment_method", "requires_confirmation"):
            raise UserError(400, "Bad request")
        intent.payment_method = resources.PaymentMethod._api_retrieve(payment_method).id
        # What was tried before is over.
        intent.latest_charge = None
    return plain_confirm(id, **others)


for place, (method, url, call) in enumerate(resources.extra_apis):
    if url == "/v1/payment_intents/{id}/confirm":
        resources.extra_apis[place] = (method, url, confirm)

# After the call was exchanged: the server makes its routes when it is imported.
from localstripe import server  # noqa: E402

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(server.app, sock=listener, print=None, handle_signals=False)
