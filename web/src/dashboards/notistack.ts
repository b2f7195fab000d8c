// Stands in for the package notistack, whose style elements the page's policy refuses. Perses has it for messages of its
// editors, and there are no editors here.
import { Fragment } from 'react';

const nothing = () => undefined;
const methods = { enqueueSnackbar: nothing, closeSnackbar: nothing };

export const SnackbarProvider = Fragment;
export const useSnackbar = () => methods;
