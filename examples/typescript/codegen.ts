import type { CodegenConfig } from "@graphql-codegen/cli";

const operations = [
  "customers",
  "segment-preview",
  "segment-preview-result",
  "job",
  "jobs",
];

const config: CodegenConfig = {
  schema: "../../schema.graphql",
  documents: operations.map((name) => `../../docs/operations/${name}.graphql`),
  emitLegacyCommonJSImports: false,
  generates: {
    "./src/gql/": {
      preset: "client",
      presetConfig: { fragmentMasking: false },
      config: {
        documentMode: "string",
        onlyOperationTypes: true,
        useTypeImports: true,
        enumsAsTypes: true,
        strictScalars: true,
        scalars: {
          Date: "string",
          DateTime: "string",
          Decimal: "string",
          JSON: "unknown",
          PhoneNumber: "string",
          Time: "string",
          Upload: "File",
        },
      },
    },
  },
};

export default config;
