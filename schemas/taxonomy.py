"""The types of a CallEvent: what can happen in a call, to an agent, and to the source itself."""

EVENT_TYPES = frozenset(
    """
    call.started call.connected call.ended call.finalized cdr.final
    leg.created leg.ringing leg.answered leg.updated leg.ended leg.live
    dial.started dial.ended
    bridge.joined bridge.left
    hold.started hold.ended
    queue.entered queue.position queue.left
    agent.offered agent.ring_no_answer agent.declined agent.cancelled agent.connected agent.completed agent.state
    transfer.started transfer.completed transfer.failed
    park.started park.ended pickup forward conference.joined conference.left
    voicemail.entered voicemail.left voicemail.message
    ivr.entered ivr.exited dtmf
    recording.started recording.stopped recording.available
    note linkage.merged gap.detected gap.resolved source.up source.down
    """.split()  # noqa: SIM905 - a table is read by lines
)
