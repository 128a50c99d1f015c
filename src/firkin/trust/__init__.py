"""Whether an image may be used: containers-policy.json(5), and sigstore signatures as cosign keeps them.

    policy_file   finds policy.json and reads it      policy       what it asks of a subject
    subject       what is judged                      identity     whose image a signature may speak of
    check         check(): the verdict, from values   judge        the same, over signatures yet to be fetched
    signature     one signature, and what it claims   attachments  where a repository keeps them
    key           public and private keys             sign         makes a signature to push
    strict_json   JSON where a doubt is a refusal

The rule: what cannot be judged is refused. A policy that cannot be read, a requirement that firkin does not
know how to meet and a signature that cannot be verified all mean no. Only where there is no policy at all is
everything accepted, as Docker does; `require_policy` takes that away too.

cryptography is imported when a key is needed, and no sooner.
"""
