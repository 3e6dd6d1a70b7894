// Print the content items of a structured report as dcmjs reads them, in JSON: `node read_by_dcmjs.cjs REPORT`.

const { readFileSync } = require("node:fs");
const { DicomMessage, DicomMetaDictionary } = require("dcmjs").data;

const list = (value) => (value === undefined || value === null ? [] : Array.isArray(value) ? [...value] : [value]);
const meaning = (code) => list(code)[0]?.CodeMeaning ?? null;

const VALUES = {
  CODE: (item) => meaning(item.ConceptCodeSequence),
  NUM: (item) => Number(list(list(item.MeasuredValueSequence)[0].NumericValue)[0]),
  TEXT: (item) => item.TextValue,
  UIDREF: (item) => item.UID,
  PNAME: (item) => String(list(item.PersonName)[0]?.Alphabetic ?? item.PersonName),
  IMAGE: (item) => {
    const [image] = list(item.ReferencedSOPSequence);
    return [image.ReferencedSOPInstanceUID, list(image.ReferencedFrameNumber).map(Number)];
  },
  CONTAINER: () => null,
};

function contents(item) {
  const value = VALUES[item.ValueType](item);
  return [meaning(item.ConceptNameCodeSequence), item.ValueType, value, list(item.ContentSequence).map(contents)];
}

const { buffer, byteOffset, byteLength } = readFileSync(process.argv[2]);
const { dict } = DicomMessage.readFile(buffer.slice(byteOffset, byteOffset + byteLength));
const report = DicomMetaDictionary.naturalizeDataset(dict);
process.stdout.write(JSON.stringify([report.SOPInstanceUID, contents(report)]));
