from .plain cimport is_plain


cpdef decode_event(body, content_type)
cpdef tuple encode_result(result)
cpdef encode_json(value)
