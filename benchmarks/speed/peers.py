"""What our gateway is compared with: the provider asked directly, nginx and a bare proxy as floors, other gateways.

Each gateway is installed once, at a fixed version, into an environment of its own below `var/bench/`.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.exactness.stage import ROOT, STARTUP_S, Process, free_port, wait_until
from benchmarks.speed.load import Ask, chat
from benchmarks.speed.processes import pinned
from benchmarks.speed.stage import Stage, is_ready

HOME = ROOT / "var" / "bench"
MASTER_KEY = "sk-of-the-benchmark"
LITELLM, FERROGW, PORTKEY = "1.106.2", "1.5.10", "1.15.2"


@dataclass
class Server:
    """One that answers chats. `models`: its names for what our chains `bench` and `claude` are."""

    name: str
    url: str
    process: Process | None
    headers: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)

    def ask(self, model: str = "bench", *, stream: bool = False, paced: bool = False) -> Ask:
        return Ask(self.url, self.headers, chat(self.models.get(model, model), stream=stream, paced=paced))


def ours(stage: Stage, key: str = "rich") -> Server:
    return Server(
        "gateway",
        f"{stage.url}/v1/chat/completions",
        stage.web,
        {"Authorization": f"Bearer {stage.keys[key]}"},
    )


def direct(stage: Stage) -> Server:
    return Server("direct", f"{stage.upstream_url}/v1/chat/completions", None)


class Peer(ABC):
    """A server to install, start and ask."""

    name: str
    ready_path: str
    chat_path = "/v1/chat/completions"
    models: Mapping[str, str] = {"bench": "gpt-4o-mini"}

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.port = free_port()
        self.folder = stage.folder / self.name
        self.folder.mkdir()

    def install(self) -> None:  # noqa: B027 - nginx comes with the machine
        """Where it is not installed yet."""

    @abstractmethod
    def command(self) -> list[str]: ...

    def environment(self) -> dict[str, str]:
        return {}

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {MASTER_KEY}"}

    def start(self) -> Server:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **self.environment()}
        command = pinned(self.stage.cores.server, self.command())
        process = Process(self.name, command, environment, self.folder)
        url = f"http://127.0.0.1:{self.port}"
        wait_until(lambda: is_ready(process, url + self.ready_path), self.name, STARTUP_S * 2)
        return Server(self.name, url + self.chat_path, process, self.headers(), self.models)


class Nginx(Peer):
    """A plain reverse proxy: the floor."""

    name = "nginx"
    ready_path = "/ready"

    def command(self) -> list[str]:
        upstream = self.stage.upstream_url.removeprefix("http://")
        configuration = self.folder / "nginx.conf"
        configuration.write_text(f"""
daemon off; master_process off; pid {self.folder}/pid; error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
  fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;
  upstream provider {{ server {upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{self.port}; keepalive_requests 1000000;
    location = /ready {{ return 200; }}
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}""")
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(configuration), "-e", "stderr"]


class Bare(Peer):
    """The floor of what Python can do (`benchmarks.speed.bare`)."""

    name = "bare"
    ready_path = "/ready"

    def command(self) -> list[str]:
        upstream = self.stage.upstream_url.rpartition(":")[2]
        return [sys.executable, "-m", "benchmarks.speed.bare", "--port", str(self.port), "--upstream", upstream]


class LiteLLM(Peer):
    """LiteLLM's proxy with one worker, without a database: it checks the key, and governs nothing."""

    name = "litellm"
    ready_path = "/health/liveliness"
    models = {"bench": "bench", "claude": "claude"}

    def install(self) -> None:
        pip_install(self.name, f"litellm[proxy]=={LITELLM}")

    def command(self) -> list[str]:
        configuration = self.folder / "config.yaml"
        models = {
            "bench": {"model": "openai/gpt-4o-mini", "api_base": f"{self.stage.upstream_url}/v1"},
            "claude": {"model": "anthropic/claude-3-5-haiku-20241022", "api_base": self.stage.upstream_url},
        }
        listed = [
            {"model_name": name, "litellm_params": {**params, "api_key": "sk-of-nobody"}}
            for name, params in models.items()
        ]
        configuration.write_text(json.dumps({"model_list": listed, "general_settings": {"master_key": MASTER_KEY}}))
        binary = HOME / self.name / "bin" / "litellm"
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--num_workers", "1"]
        return [str(binary), "--config", str(configuration), *address]

    def environment(self) -> dict[str, str]:
        return {
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "LITELLM_LOG": "ERROR",
        }


class Ferrogw(Peer):
    """A gateway in Go: it governs nothing here, not even the key."""

    name = "ferrogw"
    ready_path = "/readyz"

    def install(self) -> None:
        pip_install(self.name, f"ferrogw=={FERROGW}")

    def command(self) -> list[str]:
        return [str(HOME / self.name / "bin" / "ferrogw"), "serve"]

    def environment(self) -> dict[str, str]:
        configuration = self.folder / "config.yaml"
        configuration.write_text("strategy:\n  mode: fallback\ntargets:\n  - virtual_key: openai\n")
        return {
            "GATEWAY_CONFIG": str(configuration),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "MASTER_KEY": MASTER_KEY,
            "ALLOW_UNAUTHENTICATED_PROXY": "true",
            "OPENAI_API_KEY": "sk-of-nobody",
            "OPENAI_BASE_URL": f"{self.stage.upstream_url}/v1",
            "RATE_LIMIT_RPS": "0",
            "LOG_LEVEL": "error",
            "FERRO_MODEL_CATALOG_TIMEOUT": "0",
        }


class Portkey(Peer):
    """Portkey's gateway (Node): it governs nothing here, not even the key."""

    name = "portkey"
    ready_path = "/"

    def install(self) -> None:
        home = HOME / self.name
        if (home / "node_modules" / "@portkey-ai" / "gateway").exists():
            return
        home.mkdir(parents=True, exist_ok=True)
        # Streams of 1.15 end in an error with later versions of these two.
        package = {
            "private": True,
            "dependencies": {"@portkey-ai/gateway": PORTKEY},
            "overrides": {"hono": "4.9.7", "@hono/node-server": "1.13.8"},
        }
        (home / "package.json").write_text(json.dumps(package))
        npm = [shutil.which("npm") or "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        subprocess.run(npm, cwd=home, check=True)

    def command(self) -> list[str]:
        # It listens on every interface and has no option for it.
        preload = self.folder / "loopback.cjs"
        preload.write_text(
            'const net = require("node:net");\nconst listen = net.Server.prototype.listen;\n'
            "net.Server.prototype.listen = function (port, ...rest) {\n"
            '  const after = rest.filter((each) => typeof each === "function");\n'
            f'  return listen.call(this, {{ port: {self.port}, host: "127.0.0.1" }}, ...after);\n}};\n'
        )
        server = HOME / self.name / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        return [
            shutil.which("node") or "node",
            "--require",
            str(preload),
            str(server),
            "--headless",
            f"--port={self.port}",
        ]

    def environment(self) -> dict[str, str]:
        return {"NODE_ENV": "production"}

    def headers(self) -> dict[str, str]:
        return {
            "Authorization": "Bearer sk-of-nobody",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{self.stage.upstream_url}/v1",
        }


FLOORS: tuple[type[Peer], ...] = (Nginx, Bare)
PEERS: dict[str, type[Peer]] = {"litellm": LiteLLM, "ferrogw": Ferrogw, "portkey": Portkey}


def pip_install(name: str, requirement: str) -> None:
    home = HOME / name
    if (home / "installed").exists():
        return
    uv = shutil.which("uv") or str(Path(sysconfig.get_path("scripts")) / "uv")
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(home / "bin" / "python"), requirement], check=True)
    (home / "installed").touch()
