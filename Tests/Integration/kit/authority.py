"""A certificate authority (Let's Encrypt's pebble) with its name server, which says 127.0.0.1 to all questions."""

import json
import subprocess

from free_port import free_port

from .check import wait_for


class Authority:
    def __init__(self, world, http_port):
        self.world = world
        port, management, names, self.names_management = (free_port() for _ in range(4))
        self.certificate, key = world.path("pebble.crt"), world.path("pebble.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3",
             "-keyout", key, "-out", self.certificate, "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            check=True, capture_output=True,
        )  # fmt: skip
        with open(world.path("pebble.json"), "w") as file:
            json.dump(
                {"pebble": {"listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{management}",
                            "certificate": self.certificate, "privateKey": key, "httpPort": http_port, "tlsPort": 1,
                            "ocspResponderURL": "", "externalAccountBindingRequired": False}}, file,
            )  # fmt: skip
        self._spawn(
            "names.log", ["pebble-challtestsrv", "-management", f"127.0.0.1:{self.names_management}", "-dns01",
                          f"127.0.0.1:{names}", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""],
        )  # fmt: skip
        self.directory = f"https://localhost:{port}/dir"
        self.root = world.path("root.pem")
        self.roots_url, self.names_address = f"https://localhost:{management}/roots/0", f"127.0.0.1:{names}"
        self._serve()

    def _serve(self):
        self._spawn(
            "pebble.log", ["env", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0", "pebble", "-config",
                           self.world.path("pebble.json"), "-dnsserver", self.names_address],
        )  # fmt: skip
        fetch = ["curl", "-fs", "--cacert", self.certificate, "-o", self.root, self.roots_url]
        wait_for("pebble answers", lambda: subprocess.run(fetch).returncode == 0, 30)

    def _spawn(self, log, command):
        with open(self.world.path(log), "ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            self.world.processes.append(self.process)

    def lead(self, name, address=None):
        """Where the authority finds a name; as every other one is, without an address."""
        told = {"host": f"{name}.", **({"addresses": [address]} if address else {})}
        url = f"http://127.0.0.1:{self.names_management}/{'add' if address else 'clear'}-a"
        subprocess.run(["curl", "-fsS", "-d", json.dumps(told), url], check=True, capture_output=True)

    def forget(self):
        """Another life of the authority, which knows no account and no order of the one before."""
        self.stop()
        self._serve()

    def stop(self):
        """The authority is away from now on; the name server stays."""
        self.process.kill()
        self.process.wait()

    @property
    def wire(self):
        """As a document names it."""
        with open(self.certificate) as file:
            return {"directory_url": self.directory, "contacts": ["mailto:a@roost.test"], "roots_pem": file.read()}


def make_certificate(world, name):
    chain, key = world.path(f"{name}.crt"), world.path(f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-keyout", key, "-out", chain, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key


def served(server, name):
    """The certificate that is shown for a name, as text."""
    shown = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-servername", name],
        input="", capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    read = subprocess.run(["openssl", "x509", "-noout", "-text"], input=shown.stdout, capture_output=True, text=True)
    return read.stdout
