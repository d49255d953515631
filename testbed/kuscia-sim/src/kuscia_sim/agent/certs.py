"""Certificates of engines, signed with the domain key, for their servers and for DataMesh (Kuscia facts 16.4)."""

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim import credentials

SERVER_SANS = ["0.0.0.0", "127.0.0.1", "*.svc"]
DIRECTORY = "kuscia/certs"
"""Relative to the engine's working directory."""
ENVIRONMENT = {
    "SERVER_CERT_FILE": "server.crt",
    "SERVER_PRIVATE_KEY_FILE": "server.key",
    "CLIENT_CERT_FILE": "client.crt",
    "CLIENT_PRIVATE_KEY_FILE": "client.key",
    "TRUSTED_CA_FILE": "ca.crt",
}


def engine_files(ca_key: RSAPrivateKey, domain_id: str, pod_name: str) -> dict[str, str]:
    """Return the PEM files in an engine's certificate directory, by file name."""
    server_key, client_key = credentials.new_key(), credentials.new_key()
    server = credentials.server_certificate(ca_key, domain_id, server_key.public_key(), SERVER_SANS[0], SERVER_SANS)
    client = credentials.client_certificate(ca_key, domain_id, client_key.public_key(), pod_name)
    return {
        "server.crt": credentials.cert_pem(server),
        "server.key": credentials.key_pem(server_key),
        "client.crt": credentials.cert_pem(client),
        "client.key": credentials.key_pem(client_key),
        "ca.crt": credentials.cert_pem(credentials.ca_certificate(ca_key, domain_id)),
    }
