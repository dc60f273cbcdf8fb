"""CRC-32C of TensorFlow checkpoints."""
import pathlib
import sys
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "io/convert"))
from checksum import crc32c


class Checksum(unittest.TestCase):
    def test_known_answers(self):
        """RFC 3720, appendix B.4, and the standard check value."""
        for data, crc in ((b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA),
                          (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E),
                          (bytes(range(31, -1, -1)), 0x113FDB5C)):
            self.assertEqual(crc32c(data), crc, data)

    def test_lengths_around_a_lane(self):
        """Against a bitwise reference."""
        data = np.random.default_rng(1).integers(0, 256, 16400, dtype=np.uint8).tobytes()
        register, expected = 0xFFFFFFFF, []
        for byte in data:
            register ^= byte
            for _ in range(8):
                register = (register >> 1) ^ (0x82F63B78 if register & 1 else 0)
            expected.append(register ^ 0xFFFFFFFF)
        for length in (1, 2, 3, 4, 5, 33, 16379, 16380, 16381, 16383, 16384, 16385, 16400):
            self.assertEqual(crc32c(data[:length]), expected[length - 1], length)


if __name__ == "__main__":
    unittest.main()
