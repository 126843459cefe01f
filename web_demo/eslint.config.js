import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["build/", "node_modules/"] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["*.js"] } } },
    rules: {
      // Numbers in messages are what the messages are about.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // Loops over indices read several arrays in step.
      "@typescript-eslint/prefer-for-of": "off",
      // A type parameter names the shape of recorded cases.
      "@typescript-eslint/no-unnecessary-type-parameters": "off",
    },
  },
  { files: ["**/*.{js,mjs}"], ...tseslint.configs.disableTypeChecked },
);
