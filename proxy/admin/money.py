def dollars(microusd: int) -> str:
    """An amount in micro-dollars, exactly: $0.001230; $0 where nothing was spent."""
    return "$0" if not microusd else f"${microusd // 1_000_000:,}.{microusd % 1_000_000:06d}"
