"""The host's side of the guest agent's protocol, over any stream socket."""

from firkin.agent.channel import Channel
from firkin.agent.client import AgentClient
from firkin.agent.process import RemoteProcess
from firkin.agent.streams import StreamReceiver, StreamSender

__all__ = ["AgentClient", "Channel", "RemoteProcess", "StreamReceiver", "StreamSender"]
