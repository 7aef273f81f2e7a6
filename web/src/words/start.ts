/** Imported first by each page: colours and words of its own markup, before anything reads or changes them. */
import { translate } from "./page";
import { applyTheme } from "./theme";

applyTheme();
translate();
