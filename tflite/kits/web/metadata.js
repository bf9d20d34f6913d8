// What a file from `eelbert convert` says of itself.

const START = '{"format": "eelbert", "format_version": ';
const VERSION = 1;
const TASKS = ["classification", "binary", "multilabel", "regression", "tagging", "embedding"];

/** What a file says of itself: labels, limits, task. The whole file is checked first: damage could crash LiteRT. */
export function readMetadata(data) {
  const latin = new TextDecoder("latin1").decode(data); // finds bytes fast
  const start = latin.indexOf(START);
  if (latin.slice(4, 8) !== "TFL3" || start < 4) {
    throw new Error("This is not a file that eelbert convert wrote, or it is damaged.");
  }
  const length = new DataView(data.buffer, data.byteOffset).getUint32(start - 4, true);
  let metadata;
  try {
    metadata = JSON.parse(new TextDecoder().decode(data.subarray(start, start + length)));
  } catch {
    throw new Error("The file is damaged: its metadata cannot be read.");
  }
  if (metadata.format_version !== VERSION) {
    throw new Error(`The file has format version ${metadata.format_version}; this page reads version ${VERSION}.`);
  }
  const sum = latin.indexOf('"crc32": "', start) + 10;
  const blank = data.slice();
  blank.fill(0x2d, sum, sum + 8); // "--------" stood there when the checksum was made
  if (metadata.file_bytes !== data.length || parseInt(metadata.crc32, 16) !== crc32(blank)) {
    throw new Error("The file is damaged: its size or checksum differs. Copy or convert it again.");
  }
  if (!TASKS.includes(metadata.task)) {
    throw new Error(`The file is for the task ${metadata.task}; this page knows ${TASKS.join(", ")}.`);
  }
  return metadata;
}

/** The CRC-32 of bytes, as zlib has it. */
export function crc32(data) {
  const table = Uint32Array.from({ length: 256 }, (_, i) => {
    for (let bit = 0; bit < 8; bit++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1;
    return i;
  });
  let crc = -1;
  for (const byte of data) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
