def dollars(microusd: int) -> str:
    """An amount in micro-dollars, exactly: $0.001230."""
    return f"${microusd // 1_000_000:,}.{microusd % 1_000_000:06d}"
