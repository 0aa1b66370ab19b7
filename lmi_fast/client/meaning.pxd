from ..wire.invocation cimport Invocation
from ..wire.reply cimport Reply
from ..wire.requests cimport Post


cpdef Invocation read_next(Reply reply)
cpdef refusal(Reply reply, Post post)
