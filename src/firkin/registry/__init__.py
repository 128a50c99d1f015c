"""The OCI distribution protocol: from a Reference to verified blobs in a store, and back.

    client        RegistryClient: pull, push
    transfer      one blob into an ingest, resumed
    push          what a descriptor names into a repository: blobs, then manifests
    upload        one blob into a repository, resumed
    body          a part of a file as the body of a request
    repository    requests to one repository: login, retries, waiting
    auth          challenges and tokens
    credentials   who we are, from the user's auth files
    transport     one HTTP exchange: redirects, deadlines, errors in words
    endpoint      where a registry is, and how safe
    refusal       what a registry's refusals mean

aiohttp costs 0.2 s to import, so only functions that are about to use the network import it.
"""
