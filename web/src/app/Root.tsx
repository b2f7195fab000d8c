import { Suspense } from 'react';
import { Outlet, ScrollRestoration } from 'react-router-dom';
import { ScreenSkeleton } from './ScreenSkeleton';

/** What every screen has around it, signed in or not. */
export function Root() {
  return (
    <>
      <Suspense fallback={<ScreenSkeleton />}>
        <Outlet />
      </Suspense>
      {/* Explore writes each query into its address, and a dashboard its variables: that is no reason to jump to the top. */}
      <ScrollRestoration getKey={({ pathname, key }) => (/\/explore$|\/dashboards\//.test(pathname) ? pathname : key)} />
    </>
  );
}
