"""Packs and ships what is paid."""

from typing import Any

import shop


def handler(event: dict[str, Any], context: Any) -> None:
    """An event of the bus, as it was put."""
    order = event["detail"]
    print(f"order {order['id']}: {order['quantity']} {order['product']} to {order['customer']}")
    shop.tell("OrderShipped", {"id": order["id"], "customer": order["customer"]})
