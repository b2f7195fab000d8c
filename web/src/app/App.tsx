import createCache from '@emotion/cache';
import { CacheProvider } from '@emotion/react';
import CssBaseline from '@mui/material/CssBaseline';
import { ThemeProvider } from '@mui/material/styles';
import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from 'react-router-dom';
import { theme } from '../theme';
import { cspNonce } from './nonce';
import { queryClient } from './queryClient';
import { router } from './router';

const styleCache = createCache({ key: 'pg', nonce: cspNonce });

export function App() {
  return (
    <CacheProvider value={styleCache}>
      <ThemeProvider theme={theme} storageManager={null} noSsr>
        <CssBaseline />
        <QueryClientProvider client={queryClient}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </ThemeProvider>
    </CacheProvider>
  );
}
