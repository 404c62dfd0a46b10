"""Takes an order, tells the bus, and answers before anything else happens."""

from typing import Any

import shop


def handler(order: dict[str, Any], context: Any) -> dict[str, str]:
    """An order is {"id", "customer", "product", "quantity", "bank"}; the answer says under which event it goes on."""
    missing = [name for name in ("id", "customer", "product", "quantity", "bank") if not order.get(name)]
    if missing:
        raise ValueError(f"the order has no {', '.join(missing)}")
    return {"order": order["id"], "event": shop.tell("OrderPlaced", order)}
