"""libattn_text by ctypes: the library that lies beside the command that ATTN names."""
import ctypes
import os
from ctypes import POINTER, Structure, byref, c_bool, c_char, c_char_p, c_int, c_int32, c_size_t, c_void_p


class Error(Exception):
    pass


class _Error(Structure):
    _fields_ = [("status", c_int), ("text", c_char * 512)]


class _Encoding(Structure):
    _fields_ = [("count", c_size_t)] + [
        (name, POINTER(c_int32))
        for name in ("ids", "type_ids", "attention", "special", "sequence", "word")
    ] + [("offset", POINTER(c_size_t * 2)), ("memory", c_void_p), ("bytes", c_size_t)]


class _Options(Structure):
    _fields_ = [("no_special", c_bool), ("no_truncation", c_bool), ("no_padding", c_bool),
                ("max_length", c_size_t), ("stride", c_size_t), ("cut", c_int)]


_WHOLE = _Options(no_truncation=True, no_padding=True)


def _library():
    path = os.path.join(os.path.dirname(os.path.abspath(os.environ["ATTN"])), "libattn_text.so")
    library = ctypes.CDLL(path)
    for name, result, arguments in (
            ("open", c_int, [POINTER(c_void_p), c_char_p, c_void_p, POINTER(_Error)]),
            ("close", None, [c_void_p]),
            ("size", c_size_t, [c_void_p]),
            ("id", c_int32, [c_void_p, c_char_p, c_size_t]),
            ("special", c_int32, [c_void_p, c_char_p]),
            ("encode", c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(_Options),
                               POINTER(_Encoding), POINTER(_Error)]),
            ("windows", c_int, [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(_Options),
                                POINTER(POINTER(_Encoding)), POINTER(c_size_t), POINTER(_Error)]),
            ("decode", c_int, [c_void_p, POINTER(c_int32), c_size_t, c_bool, POINTER(c_void_p),
                               POINTER(c_size_t), POINTER(_Error)])):
        function = getattr(library, "attn_tokenizer_" + name)
        function.restype, function.argtypes = result, arguments
    library.attn_encoding_free.argtypes = [c_void_p, POINTER(_Encoding)]
    library.attn_windows_free.argtypes = [c_void_p, POINTER(_Encoding), c_size_t]
    library.attn_text_free.argtypes = [c_void_p, c_void_p]
    return library


def _lists(e):
    n = e.count
    result = {name: getattr(e, name)[:n] for name in ("ids", "type_ids", "attention", "special",
                                                      "sequence", "word")}
    result["offsets"] = [tuple(place) for place in e.offset[:n]]
    return result


class Tokenizer:
    """Opens a folder or a file."""
    library = None

    def __init__(self, path):
        Tokenizer.library = Tokenizer.library or _library()
        self.handle, self.error = c_void_p(), _Error()
        self._try(self.library.attn_tokenizer_open(byref(self.handle), os.fsencode(path), None,
                                                   byref(self.error)))

    def _try(self, status):
        if status:
            raise Error(self.error.text.decode("utf-8", "replace"))

    def __del__(self):
        if Tokenizer.library:
            self.library.attn_tokenizer_close(self.handle)

    def encode(self, text, pair=None, **options):
        """text, pair: bytes. A dictionary of lists; offsets are bytes."""
        e = _Encoding()
        self._try(self.library.attn_tokenizer_encode(
            self.handle, text, len(text), pair, len(pair or b""), byref(_Options(**options)),
            byref(e), byref(self.error)))
        result = _lists(e)
        self.library.attn_encoding_free(self.handle, byref(e))
        return result

    def windows(self, text, pair=None, **options):
        """A list of what encode gives."""
        e, count = POINTER(_Encoding)(), c_size_t()
        self._try(self.library.attn_tokenizer_windows(
            self.handle, text, len(text), pair, len(pair or b""), byref(_Options(**options)),
            byref(e), byref(count), byref(self.error)))
        result = [_lists(e[i]) for i in range(count.value)]
        self.library.attn_windows_free(self.handle, e, count)
        return result

    def time(self, text):
        """Encodes and forgets: for benchmarks."""
        e = _Encoding()
        self._try(self.library.attn_tokenizer_encode(self.handle, text, len(text), None, 0,
                                                     byref(_WHOLE), byref(e), byref(self.error)))
        self.library.attn_encoding_free(self.handle, byref(e))

    def decode(self, ids, skip_special=True):
        """The text as bytes."""
        text, length = c_void_p(), c_size_t()
        self._try(self.library.attn_tokenizer_decode(
            self.handle, (c_int32 * len(ids))(*ids), len(ids), skip_special, byref(text),
            byref(length), byref(self.error)))
        result = ctypes.string_at(text, length.value)
        self.library.attn_text_free(self.handle, text)
        return result

    def size(self):
        return self.library.attn_tokenizer_size(self.handle)

    def id(self, token):
        return self.library.attn_tokenizer_id(self.handle, token.encode(), len(token.encode()))

    def special(self, role):
        return self.library.attn_tokenizer_special(self.handle, role.encode())
